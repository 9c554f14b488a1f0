"""Which teacher is asked about which views, and how: what a dump and a plan for one have in common."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field

from cache_kd.config import Config
from cache_kd.device import DeviceName, Precision, describe_environment
from cache_kd.files import lasting_place
from cache_kd.models.teacher import Teacher, load_teacher
from cache_kd.progress import Progress
from cache_kd.rendering import RenderOn
from cache_kd.sources.open import is_tree
from cache_kd.sources.source import Decoding, Source, SourceSpec
from cache_kd.sources.usual import usual_normalise
from cache_kd.views import Recipe


class TeacherConfig(Config):
    """One teacher over the views of one source."""

    data: str
    teacher: str
    checkpoint: Path
    root: str | None = None
    decode: Decoding | None = None  # of image files; None: Pillow, as stored, stop at what is unreadable
    recipe: str | dict[str, Any] | None = None  # None: the usual one of the data
    views: Annotated[int, Field(ge=1)] = 4
    seed: Annotated[int, Field(ge=0)] = 0
    batch_size: Annotated[int, Field(ge=1)] = 256
    normalise: str | dict[str, Any] | None = None  # None: as the checkpoint says, else the usual one of the data
    device: DeviceName = "auto"
    precision: Precision = "float32"
    # processes that render; None: as many as the data gains from
    workers: Annotated[int, Field(ge=0, le=1024)] | None = None
    render: RenderOn = "cpu"

    @property
    def train_spec(self) -> SourceSpec:
        """The training images."""
        return SourceSpec(data=self.data, root=self.root, split="train", decode=self.decode)

    def open_teacher(self, source: Source, device: torch.device, progress: Progress) -> Teacher:
        """The teacher on `device`, ready to be asked about `source`.

        Raises:
            ModelError: its weights do not fit, or do not say their normalisation.
        """
        return load_teacher(
            self.teacher,
            self.checkpoint,
            classes=source.classes,
            channels=source.channels,
            device=device,
            precision=self.precision,
            normalise=self.normalise,
            usual=usual_normalise(self.train_spec),
            progress=progress,
        )

    def manifest_words(self, sources: Mapping[str, Source], recipe: Recipe, teacher: Teacher) -> dict[str, Any]:
        """What a store's manifest says of where it comes from, as `new_manifest` takes it.

        Args:
            sources: the images of each part, `train` among them.
            recipe: of the views.
            teacher: as it was opened.
        """
        train = sources["train"]
        return {
            "class_names": train.class_names,
            "channels": train.channels,
            "source_spec": {
                "data": self.data if self.root else lasting_place(self.data),
                "root": lasting_place(self.root),
            },
            # how files became pixels and which were left out; nothing where the source holds pixels
            "decode": train.spec.decode.model_dump(mode="json") if is_tree(train.spec) and train.spec.decode else None,
            "skipped": {part: source.spec.skipped for part, source in sources.items() if source.spec.skipped},
            "recipe": recipe.to_json(),
            "seed": self.seed,
            "teacher": {
                "name": teacher.name,
                "fingerprint": teacher.fingerprint,
                "checkpoint": lasting_place(str(self.checkpoint)),
                "normalise": teacher.normalise.model_dump(mode="json"),
                "precision": teacher.precision,
            },
            "environment": {**describe_environment(teacher.device), "batch_size": str(self.batch_size)},
        }
