"""The route of FKD's soft labels: a folder of files and their images become a store whose views are FKD's crops."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
from pydantic import Field

from cache_kd.errors import ModelError, SourceError
from cache_kd.exchange.fkd_file import FkdFile, read_fkd_file
from cache_kd.exchange.fkd_pairs import files_of_images
from cache_kd.exchange.import_store import ImportResult
from cache_kd.exchange.soft_labels import spread_logits
from cache_kd.imported import ImportConfig, imported_manifest, open_images, write_imported
from cache_kd.progress import Progress, Silent
from cache_kd.rendering import open_renderer
from cache_kd.sources.folder import FolderSource
from cache_kd.store.knobs import StoredKnobs
from cache_kd.types import Logits, RecordedTable, Samples, ViewedRanks, ViewedTop
from cache_kd.views.recorded import RecordedCrops, table_digest


class FkdConfig(ImportConfig):
    """FKD's soft labels, one file for each image below the folder `logits`, and what their owner says of them."""

    temperature: Annotated[float, Field(gt=0)]  # that generate_soft_label.py was given as --temp, 1.0 by default
    views: Annotated[int, Field(ge=1)] | None = None  # the first crops of each image; None: all
    size: Annotated[int, Field(ge=1)] = 224  # side of the views, pixels; FKD trains at 224


class SoftLabels(NamedTuple):
    """The first crops of every image.

    Attributes:
        boxes: float32 [views, samples, 5].
        classes: that were kept, int64 [views, samples, top].
        probabilities: of those, float32 [views, samples, top].
        rounding: of a probability close to 1, as it was saved.
    """

    boxes: RecordedTable
    classes: ViewedRanks
    probabilities: ViewedTop
    rounding: float


def import_fkd(config: FkdConfig, progress: Progress | None = None) -> ImportResult:
    """Make a store of FKD's soft labels, whose views are the crops that FKD recorded.

    The logits are `temperature` times the log of the probabilities, with what the top ones leave of 1 spread evenly.
    The manifest says so, and that nobody can prove which pictures the teacher saw. All soft labels are in memory
    meanwhile, 20 + 12 x top bytes a view. An interrupted import goes on where it was.

    Raises:
        ModelError: a file does not hold such soft labels, or the files do not go together.
        SourceError: the images are no folder of files, so that nothing can be paired.
        StoreMismatch: an image has no file or a file no image, or the store is of others.
        KdCacheError: anything else that a user can mend.

    References: Shen and Xing, A Fast Knowledge Distillation Framework for Visual Recognition, ECCV 2022.
    """
    progress = progress or Silent()
    source = open_images(config, progress)
    if not isinstance(source, FolderSource):
        raise SourceError(
            f"{config.data} is no folder of image files. FKD's soft labels belong to image files by name: pass --data "
            "with the folder DIR/train/CLASS/… that they are of."
        )
    files = files_of_images(config.logits, source.files)
    labels = _read(files, source.classes, config.views, progress)
    top, classes = labels.classes.shape[2], source.classes
    recipe = RecordedCrops(table=table_digest(labels.boxes), size=config.size)
    content = (
        f"FKD's soft labels at temperature {config.temperature:g}, the top {top} of {classes} probabilities with the "
        f"rest spread evenly, {_digest(labels)}"
    )
    manifest = imported_manifest(
        config, source, recipe, content=content, views=len(labels.boxes), knobs=labels.boxes.shape[2]
    )
    equipped = recipe.equipped(StoredKnobs(config.store, manifest))
    renderer = open_renderer({"train": source}, equipped, seed=manifest.seed, workers=config.workers)

    def logits_of(view: int, samples: Samples) -> Logits:
        return spread_logits(
            torch.from_numpy(labels.classes[view, samples]),
            torch.from_numpy(labels.probabilities[view, samples]),
            classes=classes,
            temperature=config.temperature,
            rounding=labels.rounding,
        )

    return write_imported(config, manifest, renderer, logits_of, progress, recorded=labels.boxes)


def _read(files: Sequence[Path], classes: int, views: int | None, progress: Progress) -> SoftLabels:
    """The first crops in each of `files`, which must have as many of the same kind."""
    first = read_fkd_file(files[0], classes=classes)
    crops, top = first.classes.shape
    wanted = views or crops
    if wanted > crops:
        raise ModelError(f"{files[0]} has {crops} crops; {wanted} were asked for. Pass --views {crops} or less.")
    boxes = np.empty((wanted, len(files), first.boxes.shape[1]), dtype=np.float32)
    ranks = np.empty((wanted, len(files), top), dtype=np.int64)
    probabilities = np.empty((wanted, len(files), top), dtype=np.float32)
    with progress.task("soft labels", len(files), "files") as advance:
        for sample, file in enumerate(files):
            found = read_fkd_file(file, classes=classes)
            if found.classes.shape != (crops, top) or found.rounding != first.rounding:
                raise ModelError(
                    f"{file} has {_kind(found)}; {files[0]} has {_kind(first)}. All files must come from one run of "
                    "FKD's generator."
                )
            boxes[:, sample] = found.boxes[:wanted]
            ranks[:, sample], probabilities[:, sample] = found.classes[:wanted], found.probabilities[:wanted]
            advance(1)
    return SoftLabels(boxes, ranks, probabilities, first.rounding)


def _kind(file: FkdFile) -> str:
    crops, top = file.classes.shape
    return f"{crops} crop(s) of {top} probabilities, rounded to {file.rounding:.1g}"


def _digest(labels: SoftLabels) -> str:
    content = hashlib.sha256(labels.classes.data)
    content.update(labels.probabilities.data)
    return content.hexdigest()[:32]
