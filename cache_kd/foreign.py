"""The route of logits that were made elsewhere: a file and some flags become a store that says what it cannot prove."""

import hashlib
from typing import Annotated, Any

import torch
from pydantic import Field

from cache_kd.errors import StoreMismatch
from cache_kd.exchange.import_store import ImportResult
from cache_kd.exchange.logits_file import LogitsFormat, demand_finite, read_logits
from cache_kd.imported import ImportConfig, imported_manifest, open_images, write_imported
from cache_kd.progress import Progress, Silent
from cache_kd.rendering import open_renderer
from cache_kd.sources.source import Source
from cache_kd.types import Logits, Samples, ViewedLogits
from cache_kd.views import make_recipe


class ForeignConfig(ImportConfig):
    """Logits of the training images in the order of the source, and what their owner says of them."""

    kind: LogitsFormat
    recipe: str | dict[str, Any] = "none"
    seed: Annotated[int, Field(ge=0)] = 0


def import_logits(config: ForeignConfig, progress: Progress | None = None) -> ImportResult:
    """Make a store of a file of logits, with digests and witnesses of what the recipe renders here.

    Nobody can prove that the teacher saw these pictures: the manifest says so, and who opens the store is warned.
    An interrupted import goes on where it was.

    Raises:
        ModelError: the file does not hold logits, or one that is not finite or that the codec cannot keep.
        StoreMismatch: the logits are not of as many samples or classes as the data has, or the store is of others.
        KdCacheError: anything else that a user can mend.
    """
    progress = progress or Silent()
    logits = read_logits(config.logits, config.kind)
    source = open_images(config, progress)
    _demand_fit(config, logits, source)
    # before there is a store: corrected logits are others, which cannot finish one that was begun with these
    demand_finite(config.logits, logits)
    recipe = make_recipe(config.recipe)
    renderer = open_renderer({"train": source}, recipe, seed=config.seed, workers=config.workers)
    with config.logits.open("rb") as file:
        content = f"the logits {hashlib.file_digest(file, 'sha256').hexdigest()[:32]}"
    manifest = imported_manifest(config, source, recipe, content=content, views=len(logits), seed=config.seed)

    def logits_of(view: int, samples: Samples) -> Logits:
        return logits[view, torch.tensor(samples)].float()

    return write_imported(config, manifest, renderer, logits_of, progress)


def _demand_fit(config: ForeignConfig, logits: ViewedLogits, source: Source) -> None:
    _, samples, classes = logits.shape
    if (samples, classes) != (len(source), source.classes):
        raise StoreMismatch(
            f"{config.logits} has logits of {samples:,} samples and {classes} classes; {config.data} has "
            f"{len(source):,} training images of {source.classes} classes. Pass the data that the logits are of: "
            "row i of each view is sample i."
        )
