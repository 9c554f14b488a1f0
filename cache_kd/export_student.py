"""The route of a finished student: weights, and ONNX where it is wanted, that say where they come from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch import nn

from cache_kd.config import Config, build
from cache_kd.disk import mending
from cache_kd.errors import ConfigError, RunError
from cache_kd.files import write_whole
from cache_kd.models.checkpoint import fingerprint, read_about, save_weights
from cache_kd.models.load import load_model
from cache_kd.models.normalise import make_normalise
from cache_kd.models.onnx_file import OPSET, OnnxModel, Takes, make_onnx
from cache_kd.models.zoo import library_of
from cache_kd.provenance import Origin, Provenance, Which, provenance_of
from cache_kd.rundir import RunFolder
from cache_kd.train_config import resumed_config
from cache_kd.trust import demand_trust

_FILES: Mapping[Which, str] = {"last": "weights.safetensors", "ema": "weights-ema.safetensors"}


class ExportStudentConfig(Config):
    """What leaves, and where to."""

    run: Path  # a finished one
    out: Path  # .safetensors
    onnx: Path | None = None  # .onnx; None: none is written
    onnx_input: Takes = "pixels"
    weights: Which = "last"
    size: Annotated[int, Field(ge=1)] | None = None  # height and width of ONNX's pictures; None: those of the training
    force: bool = False  # replace files that are there
    trust: tuple[str, ...] = ()  # the function that the run names as its model, if it may be imported


class StudentExport(Config):
    """What was written."""

    out: str
    bytes: int
    onnx: str | None
    onnx_bytes: int | None
    opset: int | None
    onnx_difference: float | None  # between onnxruntime's logits and torch's, as a share of the largest
    provenance: Provenance


def export_student(config: ExportStudentConfig) -> StudentExport:
    """Write the student of a finished run as safetensors, which is a checkpoint of a teacher too, and as ONNX.

    Both files appear whole or not at all, once all is known to be well. Their metadata hold a `Provenance` as JSON
    under the key `cache_kd`.

    Raises:
        RunError: there is no run, it is unfinished, its weights are others, or a file cannot be written.
        ConfigError: a file's name has another ending, or the run names a function that is not trusted.
        ModelError: the model cannot be built here or cannot be written as ONNX.
    """
    run = RunFolder.open(config.run)
    for path, ending in ((config.out, ".safetensors"), (config.onnx, ".onnx")):
        if path is not None:
            _refuse_place(run, path, ending, force=config.force)
    summary = _finished(run, resumed_config(config.run).epochs)
    student, origin = _weights(run, config.weights, config.trust)
    found = fingerprint(student)
    if config.weights == "last" and found != summary["weights"]:
        raise RunError(
            f"{run.path / _FILES['last']} has weights {found}; the run ended with {summary['weights']}. "
            "Restore that file, or train again to another --out."
        )
    provenance = provenance_of(origin, run, weights=config.weights, fingerprint=found)
    onnx = _onnx(config, student, provenance) if config.onnx else None
    with mending(config.out, RunError, option="--out", again="run the same command again"):
        config.out.parent.mkdir(parents=True, exist_ok=True)
        save_weights(student, config.out, provenance.model_dump(mode="json"))
        if config.onnx and onnx:
            config.onnx.parent.mkdir(parents=True, exist_ok=True)
            write_whole(config.onnx, onnx.content)
    return StudentExport(
        out=str(config.out),
        bytes=config.out.stat().st_size,
        onnx=str(config.onnx) if config.onnx else None,
        onnx_bytes=len(onnx.content) if onnx else None,
        opset=OPSET if onnx else None,
        onnx_difference=onnx.difference if onnx else None,
        provenance=provenance,
    )


def _refuse_place(run: RunFolder, path: Path, ending: str, *, force: bool) -> None:
    if path.suffix != ending:
        raise ConfigError(f"{path} does not end in {ending}, by which everybody knows such files. Name it so.")
    if path.is_dir():
        raise RunError(f"{path} is a folder. Pass the name of a new file.")
    if path.resolve() in {(run.path / name).resolve() for name in _FILES.values()}:
        raise RunError(f"{path} is the run's own file. Pass the name of a new one.")
    if path.exists() and not force:
        raise RunError(f"{path} is there already. Pass another name, or --force to replace it.")


def _finished(run: RunFolder, epochs: int) -> dict[str, Any]:
    """The summary of the run."""
    summary = run.summary
    if summary is None:
        done = sum("epoch" in line for line in run.metrics())
        raise RunError(
            f"{run.path} is unfinished: {done} of {epochs} epochs. Finish it: kdcache train --resume {run.path}"
        )
    return summary


def _weights(run: RunFolder, which: Which, trust: Sequence[str]) -> tuple[nn.Module, Origin]:
    """The student, and what its weights say of themselves."""
    path = run.path / _FILES[which]
    if which == "ema" and not path.is_file():
        raise RunError(
            f"{run.path} kept no running average of its weights. Leave --weights out, or train with --set "
            "ema_decay=0.999."
        )
    about = read_about(path)
    if missing := sorted(Origin.model_fields.keys() - about.keys()):
        raise RunError(
            f"{path} does not say its {', '.join(missing)}: it is not what kdcache train wrote there, or an earlier "
            "release did. Restore that file, or train again."
        )
    origin = build(Origin, about)
    if library_of(origin.model) is None:
        demand_trust(path, [origin.model], trust)
    loaded = load_model(origin.model, path, classes=origin.classes, channels=origin.channels)
    return loaded.model.eval(), origin


def _onnx(config: ExportStudentConfig, student: nn.Module, provenance: Provenance) -> OnnxModel:
    return make_onnx(
        student,
        make_normalise(provenance.normalise, channels=provenance.channels),
        takes=config.onnx_input,
        channels=provenance.channels,
        height=config.size or provenance.height,
        width=config.size or provenance.width,
        about=provenance.model_dump(mode="json"),
    )
