"""Which codecs a plan tries: every one that there is, each with the settings that differ enough to be worth a row."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cache_kd.store.codec import Codec, codec_names, make_codec

Spec = Mapping[str, Any]  # what `make_codec` takes


def candidates(classes: int) -> list[Spec]:
    """The default of every codec, then its other settings that make sense for so many classes."""
    return [{"name": name, **knobs} for name in codec_names() for knobs in ({}, *_settings(name, classes))]


def chosen(specs: Sequence[str | Spec] | None, *, classes: int) -> list[Codec]:
    """The codecs that were asked for, each once; None for all candidates.

    Raises:
        ConfigError: there is no such codec, or a knob does not fit.
    """
    made = [make_codec(spec) for spec in (candidates(classes) if specs is None else specs)]
    return list({label(codec): codec for codec in made}.values())


def knobs(codec: Codec) -> dict[str, Any]:
    """What of a codec is not its default."""
    return codec.model_dump(mode="json", exclude_defaults=True)


def label(codec: Codec) -> str:
    """A name for tables.

    >>> label(make_codec({"name": "uint8", "top_step": 0.25}))
    'uint8 top_step=0.25'
    """
    return " ".join([codec.name, *(f"{knob}={value}" for knob, value in knobs(codec).items())])


def as_option(codec: Codec) -> str:
    """What `--codec` takes.

    >>> as_option(make_codec("float16")), as_option(make_codec({"name": "packed", "bits": 4}))
    ('float16', '{"name": "packed", "bits": 4}')
    """
    changed = knobs(codec)
    return json.dumps({"name": codec.name, **changed}) if changed else codec.name


def _settings(name: str, classes: int) -> list[dict[str, Any]]:
    """Beside the default; steps between these move bytes or KL by less than the codecs next to them differ."""
    if name == "uint8":
        return [{"top_step": 0.25}]
    if name == "packed":
        return [{"bits": 4}]
    if name == "topk":
        return [{"k": k} for k in (16, 128) if k < classes]
    if name == "lowrank":
        return [{"rank": rank} for rank in (32, 128) if rank < classes]
    if name == "feature":
        return [{"precision": "float16"}]
    return []
