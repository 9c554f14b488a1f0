"""What a run trains on: its material, which views a batch shows, and the order of the samples."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from cache_kd.distill.loss import refuse_mixed
from cache_kd.errors import ConfigError, StoreMismatch
from cache_kd.material import Material, from_images, from_stores
from cache_kd.objective import Objective
from cache_kd.order import EpochOrder
from cache_kd.progress import Progress
from cache_kd.ranks import Ranks
from cache_kd.sources.source import SourceSpec
from cache_kd.train_config import TrainConfig
from cache_kd.types import Samples
from cache_kd.view_schedule import views_of


def open_material(config: TrainConfig, device: torch.device, progress: Progress) -> Material:
    """The pictures, labels and stored logits that `config` names.

    Raises:
        KdCacheError: something cannot be opened, or does not belong together.
    """
    data = config.data
    if config.store:
        cached = config.asks_a_teacher and config.live_teacher is None
        material = from_stores(
            config.store,
            data=data.data,
            root=data.root,
            trust=config.trust,
            check=config.check,
            with_logits=cached,
            memory=config.order.memory,
            workers=config.workers,
            render=config.render,
            device=device,
        )
        return replace(material, views=_shown_views(config, material))
    assert data.data is not None
    spec = SourceSpec(data=data.data, root=data.root, split="train", decode=data.decode)
    return from_images(
        spec,
        recipe=data.recipe,
        normalise=data.normalise,
        seed=config.seed,
        workers=config.workers,
        render=config.render,
        device=device,
        progress=progress,
    )


def views_per_batch(config: TrainConfig, objective: Objective) -> int:
    """Views of each sample in a batch."""
    return max(config.views_per_batch, objective.views)


def views_of_epoch(config: TrainConfig, objective: Objective, material: Material, epoch: int) -> tuple[int, ...]:
    """The views that every batch of an epoch, counted from 0, shows."""
    return views_of(
        config.view_schedule,
        epoch,
        views_per_batch(config, objective),
        material.views,
        epochs=config.epochs,
        seed=config.seed,
    )


def epoch_order(config: TrainConfig, material: Material, ranks: Ranks, epoch: int, view: int) -> EpochOrder:
    """This rank's samples of an epoch; what mixes with each other in `view` shares a batch."""
    samples = len(material.source)
    return EpochOrder(
        samples=samples,
        batch_size=config.batch_size,
        seed=config.seed,
        epoch=epoch,
        chunk_rows=material.stores[0].manifest.parts["train"].chunk_rows if material.stores else 0,
        rows=material.stores[0].manifest.row_order("train") if material.stores else None,
        window=config.order.window or 0,
        pairs=material.recipe.pairs(material.renderer.rendering.seed, samples, view),
        rank=ranks.rank,
        world=ranks.count,
        parts=config.accumulate,
    )


def own_samples(order: EpochOrder, first_step: int) -> Iterator[Samples]:
    """What this rank renders of every batch from `first_step` on: its part, or one sample where that is empty.

    Recipes render no empty batch, and the shape of views stands in the views alone; the step leaves that sample out.
    """
    last_rank = replace(order, rank=order.world - 1)
    for step in range(first_step, len(order)):
        own = order.batch(step)
        yield own if len(own) else last_rank.batch(step)[:1]


def settled(config: TrainConfig, objective: Objective, material: Material) -> TrainConfig:
    """The configuration with what its stores decide, views and chunks in a window, which a resumed run takes over.

    They decide it whether their logits are read or not: a live teacher's batches are the same ones.

    Raises:
        ConfigError: the memory is too small for windows, or one of one store's chunks is spread over all of another.
    """
    if not material.stores:
        return config
    part = material.stores[0].manifest.parts["train"]
    window = config.order.window_of(
        samples=part.samples,
        chunk_rows=part.chunk_rows,
        sample_bytes=views_per_batch(config, objective) * sum(store.sample_bytes for store in material.stores),
    )
    orders = [store.manifest.row_order("train") for store in material.stores]
    other = next((store for store, order in zip(material.stores, orders, strict=True) if order != orders[0]), None)
    if window and other:
        raise ConfigError(
            f"{other.reader.path} has its rows in another order than {material.stores[0].reader.path} (one of them was "
            f"dumped by an earlier release); a window of {window} chunks of the one is spread over all of the other. "
            "Set order.window to 0, or dump the older store again."
        )
    order = config.order.model_copy(update={"window": window})
    return config.model_copy(update={"order": order, "views": material.views})


def check_views(config: TrainConfig, objective: Objective, material: Material, ranks: Ranks) -> None:
    """Refuse what the views cannot give to the method, before there is a run folder.

    Raises:
        KdCacheError: there are too few views, or a window would part partners.
    """
    if objective.views > 1 and config.views_per_batch not in (1, objective.views):
        raise ConfigError(
            f"The method compares {objective.views} views of each sample; views_per_batch is "
            f"{config.views_per_batch}. Leave it out."
        )
    needed = views_per_batch(config, objective)
    if material.views is not None and material.views < needed:
        raise StoreMismatch(
            f"{material.stores[0].reader.path} has {material.views} view(s) of each sample, and every batch takes "
            f"{needed}. Dump with --views {needed} or more."
        )
    # refuses a window that would part mixing partners, and batches that the ranks cannot share
    epoch_order(config, material, ranks, epoch=0, view=0)


def check_labels(config: TrainConfig, material: Material) -> None:
    """Refuse mixed views for a method that reads the label, be it in one epoch only.

    Raises:
        ConfigError: it does.
    """
    if material.recipe.pairs(config.seed, len(material.source), 0) is not None:
        for method in config.over(config.epochs):
            refuse_mixed(method, material.source.classes)


def _shown_views(config: TrainConfig, material: Material) -> int:
    """How many of the store's views the run shows."""
    stored = material.stores[0].views
    if config.views is not None and config.views > stored:
        raise StoreMismatch(
            f"{material.stores[0].reader.path} has {stored} view(s) of each sample; views is {config.views}. "
            f"Dump with --views {config.views}: only the new ones are computed."
        )
    return config.views or stored
