"""The route of a comparison: a grid of runs, trained where they are not finished, then one table and one page."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cache_kd.alone import alone_in
from cache_kd.comparison.begun import agreeing
from cache_kd.comparison.command import compare_command, train_command
from cache_kd.comparison.grid import Cell, CompareConfig, cells_of
from cache_kd.comparison.page import write_page
from cache_kd.comparison.pool import Progressed as Progressed
from cache_kd.comparison.pool import Watch, run_cells
from cache_kd.comparison.record import Record, read_record
from cache_kd.comparison.saving import Account, accounts_of, teacher_seconds
from cache_kd.comparison.table import Row, rows_of, runs_csv, table_csv, table_latex
from cache_kd.comparison.teacher_time import TimedTeacher, timed_teacher
from cache_kd.device import resolve_device
from cache_kd.disk import mending
from cache_kd.errors import KdCacheError, RunError
from cache_kd.files import write_whole
from cache_kd.inspection import Inspection, inspect_store
from cache_kd.progress import Progress, Silent
from cache_kd.store.manifest import Part


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came out, and where it lies.

    Attributes:
        rows: of the table; none where every run failed, and then there are no files either.
        records: of every finished run, in the order of the grid.
        failed: name of a run -> why.
        accounts: of the stores whose teacher could be timed: what they saved, estimated.
        files: what was written beside the runs.
    """

    rows: tuple[Row, ...]
    records: tuple[Record, ...]
    failed: dict[str, str]
    accounts: tuple[Account, ...] = ()
    files: tuple[Path, ...]


def compare(config: CompareConfig, *, progress: Progress | None = None, watch: Watch | None = None) -> Comparison:
    """Train every run of the grid that is not finished, and set them side by side in `config.out`.

    A run that was interrupted goes on where it was, and one that is finished costs nothing, so that the same
    command goes on with everything after whatever ended it. A run that fails stops no other, and is tried again
    next time.

    Args:
        config: of the grid.
        progress: is told what will be done.
        watch: is told several times a second how far each run is.

    Raises:
        ConfigError: the grid makes no sense.
        RunError: a folder holds a run of another store or configuration, or another comparison is at work here.
        StoreError: a store cannot be read.
    """
    progress = progress or Silent()
    cells = cells_of(config)
    stores = {path.resolve().name: (path, inspect_store(path)) for path in config.store}
    busy = f"{config.out}: another kdcache compare is at work there. Wait for it, or pass --out with another folder."
    with alone_in(config.out, "compare.lock", busy=busy, again="run the same command again"):
        cells = agreeing(cells, {name: (path, seen.manifest) for name, (path, seen) in stores.items()}, progress)
        gpus = _gpus(cells)
        jobs = config.jobs or max(1, len(gpus))
        progress.say(_announcement(cells, jobs, config.out))
        states = run_cells(cells, jobs=jobs, gpus=gpus, logs=config.out / "logs", watch=watch or _nobody)
        failed = {state.cell.name: state.fault for state in states if state.stage == "failed"}
        finished = [cell for cell in cells if cell.name not in failed]
        if not finished:
            return Comparison(rows=(), records=(), failed=failed, files=())
        parts = {name: seen.manifest.parts for name, (_, seen) in stores.items()}
        runs = [(cell, read_record(cell)) for cell in finished]
        teachers = _timed_teachers(config, runs, progress)
        records = tuple(_estimated(cell, record, teachers, parts) for cell, record in runs)
        accounts = tuple(accounts_of(records, teachers, parts))
        rows = tuple(rows_of(records))
        page = config.out / "report.html"
        texts = _write_tables(config.out, rows, records)
        write_page(
            page,
            rows=rows,
            records=records,
            failed=failed,
            accounts=accounts,
            stores={name: _facts(path, seen) for name, (path, seen) in stores.items()},
            commands={cell.name: train_command(cell.config) for cell in cells},
            command=compare_command(config),
        )
    return Comparison(rows=rows, records=records, failed=failed, accounts=accounts, files=(*texts, page))


def _gpus(cells: Sequence[Cell]) -> list[str]:
    """Names for CUDA_VISIBLE_DEVICES: what it lists here, else the numbers of all GPUs; none if no run uses one."""
    if not any(resolve_device(cell.config.device).type == "cuda" for cell in cells):
        return []
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    return listed.split(",") if listed else [str(number) for number in range(torch.cuda.device_count())]


def _announcement(cells: Sequence[Cell], jobs: int, out: Path) -> str:
    finished = sum((cell.config.out / "summary.json").is_file() for cell in cells)
    begun = sum((cell.config.out / "config.json").is_file() for cell in cells) - finished
    there = f", {finished} of them finished and {begun} begun" if finished or begun else ""
    return f"{len(cells)} runs in {out}{there}; {jobs} at a time"


def _timed_teachers(
    config: CompareConfig, runs: Sequence[tuple[Cell, Record]], progress: Progress
) -> dict[str, TimedTeacher]:
    """By the name of their store, as the store's first run would ask them; without those that are not at hand."""
    teachers: dict[str, TimedTeacher] = {}
    first = {cell.group.store: (cell, record) for cell, record in reversed(runs) if cell.group.teacher == "cached"}
    for name, (cell, record) in first.items():
        run = cell.config
        try:
            teachers[name] = timed_teacher(
                run.store[0],
                batch_size=run.batch_size,
                device=run.device,
                threads=int(record.environment["threads"]),
                checkpoint=_checkpoint(config),
                trust=run.trust,
                remembered=config.out / "teachers.json",
            )
        except KdCacheError as fault:
            progress.say(f"What the store {name} saves is not estimated, because its teacher is not at hand: {fault}")
    return teachers


def _checkpoint(config: CompareConfig) -> Path | None:
    """Where a live teacher's weights are, if the store does not say it any more."""
    said = (config.run.get("live_teacher") or {}).get("checkpoint")
    return Path(said) if said else None


def _estimated(
    cell: Cell, record: Record, teachers: Mapping[str, TimedTeacher], parts: Mapping[str, Mapping[str, Part]]
) -> Record:
    """A record that says how long a live teacher would have taken, where the store spared one."""
    store, method = cell.group.store, cell.config.at(1)
    if cell.group.teacher != "cached" or store not in teachers:
        return record
    views = max(cell.config.views_per_batch, method.views if method else 1)
    return replace(record, teacher_seconds=teacher_seconds(teachers[store], parts[store]["train"], views))


def _facts(path: Path, seen: Inspection) -> dict[str, str]:
    """What the page says of a store."""
    manifest = seen.manifest
    parts = ", ".join(f"{name} {part.samples:,} x {part.views} views" for name, part in manifest.parts.items())
    exact = "exact" if manifest.exact_rows == 0 else "not measured"
    return {
        "id": f"{manifest.store_id} ({path})",
        "teacher": f"{manifest.teacher.name}, weights {manifest.teacher.fingerprint}",
        "teacher's accuracy": "-" if seen.teacher_accuracy is None else f"{100 * seen.teacher_accuracy:.2f} % (test)",
        "rows": parts,
        "size": f"{seen.bytes / 1e6:.2f} MB",
        "codec": f"{manifest.codec['name']}: {manifest.fidelity or exact}",
        "alignment": manifest.alignment,
        "command": manifest.dump_command(path),
    }


def _write_tables(out: Path, rows: Sequence[Row], records: Sequence[Record]) -> tuple[Path, ...]:
    texts = {"table.csv": table_csv(rows), "runs.csv": runs_csv(records), "table.tex": table_latex(rows)}
    with mending(out, RunError, option="--out", again="run the same command again"):
        for name, text in texts.items():
            write_whole(out / name, text.encode())
    return tuple(out / name for name in texts)


def _nobody(states: Sequence[Progressed]) -> None:
    del states
