"""The route from a store to a page: choose a few samples, ask every method about them, show what came out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cache_kd.composition import Composition
from cache_kd.description import describe
from cache_kd.distill import Method, needs_of
from cache_kd.distill.needs import reads_student
from cache_kd.errors import ConfigError
from cache_kd.keyed.feistel import permutation
from cache_kd.look_page import Look, SeenMethod, SeenSample, SeenTerm, SeenView, Share, write_page
from cache_kd.methods import names
from cache_kd.opened import OpenStore, open_store
from cache_kd.targets import Target, entropy, pull_of, target_of
from cache_kd.types import Labels, Logits, Pull, Samples

SCANNED = 10_000  # samples that the choice is made from, evenly spaced
COMPANY = 256  # other samples in the batch, for methods that look at one
VIEWS = 8  # shown at most
LEGEND = 6  # classes that have a colour: the teacher's largest, and the label
OTHERS = 2  # classes beside the legend that are listed with it: the largest, and of a pull the lowest
KINDS = ("teacher right", "teacher wrong", "most confusing", "at random")


def look(
    path: Path,
    *,
    out: Path = Path("look.html"),
    samples: int = 2,
    methods: Sequence[str] | None = None,
    seed: int = 0,
    data: str | None = None,
    root: str | None = None,
    trust: Sequence[str] = (),
) -> Look:
    """Write a page about a few samples of the store at `path`: the pictures, the teacher's word, every method's target.

    The student is not known here: one that knows nothing yet stands for it, all its logits 0.

    Args:
        path: of the store.
        out: of the page; a file there is replaced.
        samples: of each kind in `KINDS`.
        methods: names, or compositions such as `dkd+normkd`; None for all that come with the package, kd first.
        seed: of what is drawn: all kinds but the most confusing.
        data: where the images are now, if they moved.
        root: the folder of a torchvision data set, if it moved.
        trust: functions named by the store that may be imported.

    Raises:
        ConfigError: the store's views hold two pictures each.
        KdCacheError: the store or its images cannot be opened, a method is unknown, or the page cannot be written.
    """
    if out.is_dir():
        raise ConfigError(f"{out} is a folder; the page needs the name of a file. Pass --out {out / 'look.html'}.")
    made = {name: _made(name) for name in (_all() if methods is None else methods)}
    store = open_store(path, data=data, root=root, trust=trust)
    if store.recipe.pairs(store.manifest.seed, len(store.source), 0) is not None:
        raise ConfigError(
            f"{path} holds mixed views, of two pictures and two labels each; a look asks what a method makes of one. "
            "Look at a store of the same teacher without mixing, or see what mixing does with `kdcache recipes`."
        )
    scanned = _evenly(len(store.source), SCANNED)
    logits, labels = _batch(store, scanned, 0)
    kinds = _kinds(logits, labels, seed)
    chosen = choose(logits, labels, samples, seed)
    numbers = scanned[np.array([row for rows in chosen.values() for row in rows], dtype=np.int64)]
    seen = Look(
        store=str(path),
        teacher=store.manifest.teacher.name,
        classes=store.manifest.classes,
        scanned=len(scanned),
        right=len(kinds["teacher right"]) / len(scanned),
        kinds={kind: len(rows) for kind, rows in kinds.items()},
        facts=_facts(store, path, seed),
        samples=tuple(_samples(store, numbers, [kind for kind, rows in chosen.items() for _ in rows], made)),
    )
    write_page(out, seen)
    return seen


def _made(name: str) -> Method:
    """A method, or a composition such as `dkd+normkd`."""
    method = Composition(method=name).at(1)
    assert method is not None
    return method


def _all() -> list[str]:
    """Every method that comes with the package, the one that the others are compared with first."""
    return sorted(names(), key=lambda name: name != "kd")


def choose(logits: Logits, labels: Labels, count: int, seed: int) -> dict[str, list[int]]:
    """Rows of each kind, no row twice, `count` of each or as many as there are.

    The most confusing rows go first, so that they are exactly those with the smallest margins.
    """
    candidates = _kinds(logits, labels, seed)
    taken: dict[str, list[int]] = {}
    for kind in ("most confusing", "teacher wrong", "teacher right", "at random"):
        used = {row for rows in taken.values() for row in rows}
        taken[kind] = [row for row in candidates[kind] if row not in used][:count]
    return {kind: taken[kind] for kind in KINDS}


def _kinds(logits: Logits, labels: Labels, seed: int) -> dict[str, list[int]]:
    """The rows that each kind is taken from, in the order of taking."""
    right = logits.argmax(dim=-1) == labels
    drawn = permutation(seed, "look", len(logits), 0).tolist()
    return {
        "teacher right": [row for row in drawn if right[row]],
        "teacher wrong": [row for row in drawn if not right[row]],
        "most confusing": margin(logits).argsort(stable=True).tolist(),
        "at random": permutation(seed, "look at random", len(logits), 0).tolist(),
    }


def margin(logits: Logits) -> Tensor:
    """Between the two largest probabilities of each row, [batch]."""
    two = logits.softmax(dim=-1).topk(2, dim=-1).values
    return two[:, 0] - two[:, 1]


def _samples(
    store: OpenStore, numbers: Samples, kinds: Sequence[str], methods: Mapping[str, Method]
) -> Iterator[SeenSample]:
    """The chosen samples, each with what every method makes of it."""
    views = list(_views(store, numbers))
    company = np.setdiff1d(_evenly(len(store.source), COMPANY), numbers)
    batches = [_batch(store, np.concatenate([numbers, company]), view) for view in range(min(2, store.views))]
    asked = [_ask(name, method, batches) for name, method in methods.items()]
    logits, labels = batches[0]
    for row in range(len(numbers)):
        people = _Classes(store.source.class_names, int(labels[row]), logits[row].softmax(dim=-1))
        legend = people.shares(people.teacher)
        spread = float(entropy(people.teacher[None]))
        yield SeenSample(
            number=int(numbers[row]),
            kind=kinds[row],
            label=store.source.class_names[people.label],
            views=tuple(of_view[row] for of_view in views),
            teacher=legend,
            rest=1 - sum(share.value for share in legend),
            margin=float(margin(logits[row : row + 1])),
            entropy=spread,
            effective=float(np.exp(spread)),
            methods=tuple(_method(answer, people, row) for answer in asked),
        )


def _views(store: OpenStore, numbers: Samples) -> Iterator[list[SeenView]]:
    """View by view, the pictures of all chosen samples: their pixels compared with the teacher's."""
    stream = store.stream(check="all")
    for view in range(min(store.views, VIEWS)):
        (batch,) = stream.batches([numbers], (view,))
        best = batch.teachers[0].logits().softmax(dim=-1).max(dim=-1)
        yield [
            SeenView(
                number=view,
                picture=picture.numpy(),
                named=store.source.class_names[int(named)],
                probability=float(probability),
                right=bool(named == label),
            )
            for picture, label, named, probability in zip(
                batch.pixels[0], batch.labels, best.indices, best.values, strict=True
            )
        ]


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What a method says about a whole batch, the chosen samples first."""

    name: str
    reference: str
    needs: str
    reads_student: bool
    targets: list[Target]
    pull: Pull


def _ask(name: str, method: Method, batches: Sequence[tuple[Logits, Labels]]) -> _Answer:
    # a store of one view shows it twice to a method that takes two
    shown = [batches[min(view, len(batches) - 1)] for view in range(method.views)]
    teacher = torch.cat([logits for logits, _ in shown])
    labels = torch.cat([of_view for _, of_view in shown])
    return _Answer(
        name=name,
        reference="; ".join(describe(part).reference for part in name.split("+")),
        needs=str(needs_of(method)),
        reads_student=reads_student(method),
        targets=[target_of(term, teacher, labels, name=method.name) for term in method.terms],
        pull=pull_of(method, teacher, labels),
    )


def _method(answer: _Answer, classes: "_Classes", row: int) -> SeenMethod:
    own = [target for target in answer.targets if not target.of_batch]
    terms = [_term(target, classes, row) for target in own if not bool(target.left_out[row].all())]
    pull = answer.pull[row]
    largest = float(pull.abs().max())
    return SeenMethod(
        name=answer.name,
        reference=answer.reference,
        needs=answer.needs,
        reads_student=answer.reads_student,
        terms=tuple(dict.fromkeys(terms)),  # equal ones once
        silent=tuple(target.caption for target in own if bool(target.left_out[row].all())),
        of_batch=tuple(target.caption for target in answer.targets if target.of_batch),
        pull=classes.shares(pull / largest, most=OTHERS, least=OTHERS) if largest > 0 else (),
    )


def _term(target: Target, classes: "_Classes", row: int) -> SeenTerm:
    probabilities, left_out = target.probabilities[row], target.left_out[row]
    spread = float(entropy(probabilities[None]))
    shares = classes.shares(probabilities, left_out, most=OTHERS)
    return SeenTerm(
        caption=target.caption,
        tau=float(target.tau[row]),
        gain=float(target.gain[row]),
        weight=target.weight,
        entropy=spread,
        effective=float(np.exp(spread)),
        shares=shares,
        rest=1 - sum(share.value for share in shares if share.colour is not None),
        left_out=int(left_out.sum()),
        of_student=target.of_student,
    )


class _Classes:
    """The classes of one sample as the page names and colours them.

    Args:
        names: of all classes.
        label: the sample's.
        teacher: probabilities, [classes].
    """

    def __init__(self, names: Sequence[str], label: int, teacher: Tensor) -> None:
        self.names, self.label, self.teacher = names, label, teacher
        best = teacher.topk(min(LEGEND, len(teacher))).indices.tolist()
        self.legend: list[int] = best if label in best else [*best, label]

    def shares(
        self, values: Tensor, left_out: Tensor | None = None, *, most: int = 0, least: int = 0
    ) -> tuple[Share, ...]:
        """The legend's classes in its order, then the `most` largest and the `least` smallest of the others."""
        others = [number for number in values.argsort(descending=True).tolist() if number not in self.legend]
        beside = dict.fromkeys(others[:most] + others[len(others) - min(least, len(others)) :])
        return tuple(
            Share(
                number=number,
                name=self.names[number],
                value=float(values[number]),
                label=number == self.label,
                left_out=left_out is not None and bool(left_out[number]),
                colour=self.legend.index(number) if number in self.legend else None,
            )
            for number in [*self.legend, *beside]
        )


def _batch(store: OpenStore, samples: Samples, view: int) -> tuple[Logits, Labels]:
    """Stored logits, as float64, and labels."""
    return store.logits(view, samples).double(), torch.from_numpy(store.source.labels()[samples])


def _evenly(length: int, count: int) -> Samples:
    """Up to `count` of `length` numbers, evenly spaced."""
    count = min(length, count)
    spaced: Samples = np.arange(count, dtype=np.int64) * length // count
    return spaced


def _facts(store: OpenStore, path: Path, seed: int) -> dict[str, str]:
    manifest, train = store.manifest, store.manifest.parts["train"]
    return {
        "Store": f"{path} ({manifest.store_id})",
        "Teacher": f"{manifest.teacher.name}, weights {manifest.teacher.fingerprint}",
        "Images": f"{manifest.source.spec['data']}, {train.samples:,} of {manifest.classes} classes",
        "Views": f"{train.views} of each, recipe {manifest.recipe['name']}, seed {manifest.seed}; "
        f"methods are computed on view 0",
        "Drawn with": f"seed {seed}",
    }
