"""The runs that a comparison finds in its folder: held against what it asks for, and joined by new ones alike."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cache_kd.comparison.grid import Cell, differences
from cache_kd.errors import RunError
from cache_kd.progress import Progress
from cache_kd.provenance import store_id_of
from cache_kd.rundir import RunFolder
from cache_kd.store.manifest import Manifest
from cache_kd.train_config import resumed_config


def agreeing(
    cells: Sequence[Cell], stores: Mapping[str, tuple[Path, Manifest]], progress: Progress
) -> tuple[Cell, ...]:
    """The cells as they are trained: with as many views as the runs of their store that are here already.

    Where there is none yet, and nobody says how many, it is all views that the store has now; it may grow meanwhile.

    Args:
        cells: of the grid.
        stores: by the name that the cells' groups have for them: where they are, and what they say.
        progress: is told where a store has more views than its runs show.

    Raises:
        RunError: a folder holds a run of another store or configuration, or the runs of a store show different views.
    """
    begun = [cell for cell in cells if (cell.config.out / "config.json").is_file()]
    for cell in begun:
        _refuse_other_store(cell, *stores[cell.group.store])
    views = {name: _views(name, begun, path, manifest, progress) for name, (path, manifest) in stores.items()}
    settled = tuple(
        replace(cell, config=cell.config.model_copy(update={"views": cell.config.views or views[cell.group.store]}))
        for cell in cells
    )
    for cell in settled:
        if (cell.config.out / "config.json").is_file():
            _refuse_other_configuration(cell)
    return settled


def _refuse_other_store(cell: Cell, path: Path, manifest: Manifest) -> None:
    found = store_id_of(RunFolder.open(cell.config.out))
    if found not in (None, manifest.store_id):
        raise RunError(
            f"{cell.config.out} holds a run of the store {found}; {path} is {manifest.store_id} now, which holds other "
            "numbers. Put the former store back, pass --out with another folder, or delete the runs of the former one."
        )


def _views(name: str, begun: Sequence[Cell], path: Path, manifest: Manifest, progress: Progress) -> int:
    """Of each sample, for the runs of one store that are not asked for a number of them."""
    stored = manifest.parts["train"].views
    runs = [cell.config.out for cell in begun if cell.group.store == name and cell.config.views is None]
    found = {out: resumed_config(out).views or stored for out in runs}
    shown = sorted(set(found.values()))
    if len(shown) > 1:
        several = "; ".join(f"{next(out for out in found if found[out] == views)} shows {views}" for views in shown)
        raise RunError(
            f"Runs of {path} show different numbers of its views and cannot be compared: {several}. Delete those of "
            f"one number, or pass --set views={shown[0]} and --out with another folder."
        )
    if not shown:
        return stored
    if shown[0] != stored:
        progress.say(
            f"The runs of {path} that are here show {shown[0]} of its {stored} views, and so will the new ones. "
            "For all views pass --out with another folder."
        )
    return shown[0]


def _refuse_other_configuration(cell: Cell) -> None:
    out = cell.config.out
    found = differences(cell.config, resumed_config(out))
    if found:
        shown = ", ".join(f"{key} = {before!r} (asked for {after!r})" for key, (before, after) in found.items())
        raise RunError(
            f"{out} holds a run with {shown}. Ask for what it has, pass --out with another folder, or delete it."
        )
