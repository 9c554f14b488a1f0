"""`kdcache info`: what a store holds, as its manifest says."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cache_kd.cli.options import PLACE, json_option

if TYPE_CHECKING:
    from cache_kd.inspection import Inspection
    from cache_kd.store.manifest import Manifest, StoredSource


@click.command()
@click.argument("path", type=PLACE)
@json_option
def info(path: Path | str, as_json: bool) -> None:
    """Show what the store at PATH holds.

    Of a store in a bucket only its manifest and the names of its objects are read.

    \b
    Examples:
      kdcache info stores/resnet20
      kdcache info s3://team/stores/resnet20
    """
    from cache_kd.cli.console import print_json, print_pairs, size
    from cache_kd.inspection import inspect_store
    from cache_kd.store.witness import witness_rows, witness_views

    seen = inspect_store(path)
    if as_json:
        print_json(seen.model_dump(mode="json"))
        return
    manifest = seen.manifest
    teacher, recipe = manifest.teacher, dict(manifest.recipe)
    accuracy = (
        _unknown_accuracy(path, seen)
        if seen.teacher_accuracy is None
        else f"{100 * seen.teacher_accuracy:.2f} % on test images"
    )
    parts = ", ".join(f"{name}: {part.views} x {part.samples:,}" for name, part in manifest.parts.items())
    witnesses = sum(witness_rows(manifest, view) for view in witness_views(manifest))
    pairs = [
        ("store", f"{path}  ({manifest.store_id})"),
        ("state", "complete" if seen.complete == 1 else f"unfinished: {100 * seen.complete:.1f} % of the shards"),
        ("teacher", f"{teacher.name}, weights {teacher.fingerprint}, {teacher.precision}"),
        *_members(manifest),
        ("accuracy", accuracy),
        ("views x samples", parts),
        ("classes", str(manifest.classes)),
        ("recipe", f"{recipe.pop('name')} {recipe}, seed {manifest.seed}"),
        ("source", f"{manifest.source.spec['data']}, fingerprint {manifest.parts['train'].fingerprint}"),
        *_decoding(manifest.source),
        ("codec", f"{_codec(manifest)}, {size(seen.bytes)} on disk{_per_view(seen)}"),
        *_costs(seen),
        *_alignment(manifest),
        ("witnesses", f"{witnesses} train views are kept as pixels, to prove the others by"),
        ("dumped with", ", ".join(f"{name} {value}" for name, value in manifest.environment.items())),
        ("created", manifest.created),
    ]
    print_pairs("", pairs)


def _unknown_accuracy(path: Path | str, seen: "Inspection") -> str:
    if not isinstance(path, Path):
        return "not read; kdcache pull fetches the rows"
    return "unknown: no test images" if seen.complete == 1 else "unknown: the dump has not finished"


def _per_view(seen: "Inspection") -> str:
    return "" if seen.bytes_per_view is None else f", {seen.bytes_per_view:.1f} bytes per view"


def _codec(manifest: "Manifest") -> str:
    """The codec's name, and its knobs where it has any."""
    knobs = {name: value for name, value in manifest.codec.items() if name not in ("name", "version")}
    return f"{manifest.codec['name']} {knobs}" if knobs else str(manifest.codec["name"])


def _members(manifest: "Manifest") -> list[tuple[str, str]]:
    """Whose mean the logits are, where they are several teachers'."""
    if manifest.ensemble is None:
        return []
    members = (
        f"{member.share:.3g} {member.teacher} ({member.path}, {member.store_id})"
        for member in manifest.ensemble.members
    )
    return [("members", "; ".join(members))]


def _costs(seen: "Inspection") -> list[tuple[str, str]]:
    """What the codec costs this teacher, where it costs anything."""
    costs = [("fidelity", str(seen.manifest.fidelity))] if seen.manifest.fidelity else []
    if seen.gradient_cosines:
        cosines = ", ".join(f"{name} {cosine:.4f}" for name, cosine in seen.gradient_cosines.items())
        costs.append(("gradients", f"{cosines} (cosine of stored with exact logits)"))
    return costs


def _alignment(manifest: "Manifest") -> list[tuple[str, str]]:
    """What imported logits cannot prove."""
    if manifest.alignment == "proven":
        return []
    return [("alignment", "unproven: imported logits; digests and witnesses are of what was rendered then")]


def _decoding(source: "StoredSource") -> list[tuple[str, str]]:
    """How image files became pixels, where the source is files."""
    if source.decode is None:
        return []
    skipped = [file for files in source.skipped.values() for file in files]
    left_out = f", {len(skipped):,} unreadable files left out: {', '.join(skipped[:3])}" if skipped else ""
    more = ", …" if len(skipped) > 3 else ""
    return [("decoded", f"{source.decode.backend}, orientation {source.decode.orientation}{left_out}{more}")]
