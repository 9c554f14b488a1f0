"""What a run writes down as it goes, by the first of its processes only: metrics, weights, states to go on from."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import nn

from cache_kd.average import WeightAverage
from cache_kd.errors import RunError
from cache_kd.progress import Progress
from cache_kd.provenance import Origin, Seen
from cache_kd.ranks import Ranks
from cache_kd.rundir import RunFolder, alone_at, refuse_filled
from cache_kd.scalars import Scalars, demand_tensorboard
from cache_kd.state import Position, State, generators, restore_generators
from cache_kd.stopping import Stop
from cache_kd.train_config import TrainConfig, lasting

AGREE_EVERY = 50  # steps after which several processes ask each other whether to save or to stop


@contextmanager
def recording(
    config: TrainConfig, resume: bool, state: State, seen: Seen, ranks: Ranks, progress: Progress
) -> "Iterator[Recorder]":
    """Write one run, in whose folder no other process trains meanwhile.

    Args:
        config: of the run.
        resume: whether its folder is there already.
        state: what changes as the run goes.
        seen: what it learns from, which never changes.
        ranks: its processes, all of which see the same folder.
        progress: who watches.

    Raises:
        RunError: there is something else at `config.out`, there is nothing to resume, another process trains there, or
            it cannot be written to.
    """
    if config.tensorboard:
        demand_tensorboard()
    if ranks.first:  # before anything is put there: the folder may be somebody's own
        if resume:
            RunFolder.open(config.out)
        else:
            refuse_filled(config.out)
    with alone_at(config.out) if ranks.first else nullcontext():
        yield Recorder(config, resume, state, seen, ranks, progress)


class Recorder:
    """Writes one run; see `recording`."""

    def __init__(
        self, config: TrainConfig, resume: bool, state: State, seen: Seen, ranks: Ranks, progress: Progress
    ) -> None:
        self._config = config
        self._state = state
        self._seen = seen
        self._ranks = ranks
        self._progress = progress
        self._scalars: Scalars | None = None
        self._saved_at = time.monotonic()
        if ranks.first and not resume:
            RunFolder.create(config.out, lasting(config).model_dump(mode="json"))
        ranks.wait()
        self.folder = RunFolder.open(config.out)
        if resume and self.folder.summary is not None:
            raise RunError(
                f"{config.out} is finished; there is nothing to resume. Pass --out with another path to train anew."
            )

    def restore(self) -> Position:
        """Take up the state that was saved last, and forget the metrics after it; where the run now stands.

        Raises:
            RunError: the state does not load, or is of another model or optimiser, or learned from something else.
        """
        saved = self.folder.load_state()
        if saved is not None:
            self._demand_seen(saved[1])
        self._ranks.wait()  # until all have read what stands there
        if self._ranks.first:
            self.folder.save_config(lasting(self._config).model_dump(mode="json"))
            self.folder.forget_later_metrics(saved and saved[1])
        if saved is None:
            self._start_scalars(0)
            return Position()
        tensors, words = saved
        with self.folder.readable():
            position = self._state.restore(tensors, words)
        self._start_scalars(int(words["steps"]))
        own = f"generator.{self._ranks.rank}."
        restore_generators({name.removeprefix(own): tensors[name] for name in tensors if name.startswith(own)})
        return position

    def _demand_seen(self, words: Mapping[str, str]) -> None:
        said = words.get("seen")
        if said is None:  # an earlier release saved this state
            return
        with self.folder.readable():
            before, now = Seen.model_validate_json(said).model_dump(), self._seen.model_dump()
        changed = [f"{key} {before[key]} (now {now[key]})" for key in before if before[key] != now[key]]
        if changed:
            raise RunError(
                f"{self.folder.path} has learned from {', '.join(changed)}; its student would come of both. Put back "
                "what it was begun with, pass --store or --data with where that is now, or start again with another "
                "--out."
            )

    def log(self, steps: int, **values: Any) -> None:
        """Add one line to the metrics, after so many steps of the whole run."""
        if self._ranks.first:
            self.folder.log(**values)
        if self._scalars is not None:
            self._scalars.add(values, steps)

    def _start_scalars(self, steps: int) -> None:
        if self._config.tensorboard and self._ranks.first:
            self._scalars = Scalars(self.folder.path / "tensorboard", steps)

    def save(self, position: Position, steps: int) -> None:
        """Save the state at `position`, after so many steps of the whole run."""
        of_ranks = self._ranks.from_each(generators())
        if self._ranks.first:
            random = {
                f"generator.{rank}.{name}": state for rank, own in enumerate(of_ranks) for name, state in own.items()
            }
            words = {**self._state.words(position), "steps": str(steps), "seen": self._seen.model_dump_json()}
            self.folder.save_state(self._state.tensors() | random, words)
        self._saved_at = time.monotonic()

    def after_step(self, position: Position, steps: int, stop: Stop) -> None:
        """Save the state where it is time to, and stop where somebody asked for it.

        Args:
            position: after the step.
            steps: finished ones of the whole run.
            stop: hears requests.

        Raises:
            KeyboardInterrupt: somebody asked; so with SystemExit.
        """
        asked = stop.asked is not None
        minutes = self._config.checkpoint_minutes
        due = minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes
        if self._ranks.count > 1:
            agreeing = steps % AGREE_EVERY == 0
            asked, due = agreeing and self._ranks.any(asked), agreeing and self._ranks.any(due)
        if self._config.checkpoint_steps is not None:
            due = due or steps % self._config.checkpoint_steps == 0
        if asked or due:
            self.save(position, steps)
        if asked:
            self._progress.say(
                f"Stopped in epoch {position.epoch + 1} after {position.step} of its steps. "
                f"Go on with: kdcache train --resume {self._config.out}"
            )
            stop.obey()

    def save_weights(self, student: nn.Module, average: WeightAverage | None, origin: Origin) -> None:
        """Save the student's weights, and their average where there is one, with where they come from."""
        if not self._ranks.first:
            return
        self.folder.save_weights(student, origin.model_dump(mode="json"))
        if average is not None:
            with average.shown():
                averaged = origin.model_copy(update={"ema_decay": self._config.ema_decay})
                self.folder.save_weights(student, averaged.model_dump(mode="json"), name="weights-ema")

    def finish(self, summarise: Callable[[RunFolder], dict[str, Any]]) -> dict[str, Any]:
        """Write the summary, which says that the run is done; every rank is given it."""
        summary = summarise(self.folder) if self._ranks.first else {}
        if self._ranks.first:
            self.folder.finish(summary)
        return self._ranks.from_each(summary)[0]  # type: ignore[no-any-return]
