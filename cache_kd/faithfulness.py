"""How truly a method learns from stored logits: the angle between the gradients that stored and exact ones give."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch.nn.functional import cosine_similarity

from cache_kd.distill import Method, per_sample_loss
from cache_kd.errors import ConfigError, StoreMismatch
from cache_kd.progress import Progress
from cache_kd.store.reader import Reader
from cache_kd.types import Labels, Logits, Pull

# Of a training step. Some methods look at the whole batch, so its size decides a little.
BATCH_ROWS = 128

# Of a store's exact rows: the mean over 256 is known to 0.006 where rows differ by 0.1.
MEASURED_ROWS = 256

# The student that is asked: its logits correlate with the teacher's like this and spread as much, so it is right
# about many classes and wrong about many. A student nearer to its teacher would see only the codec's error.
CORRELATION = 0.8

# Below, a step leads more than 26 degrees astray. Top-10 with a uniform tail, the least that others keep, comes to
# 0.75 at T = 4; 4 bits per logit to 0.99.
LEAST_COSINE = 0.9


def gradient_cosine(method: Method, exact: Logits, stored: Logits, labels: Labels) -> float:
    """The cosine between two gradients of a row's student logits, the mean over rows: 1 where nothing is lost.

    One gradient is of the method's terms with the exact teacher, one with the stored; the labels' cross-entropy, which
    is the same on both sides, is left out. The student is the exact teacher, disturbed by noise that depends on
    nothing but the shape. A second head's logits are taken to be the student's own; a learned parameter has its first
    value; views of one sample are rows of several. Rows beyond the last whole batch of 128 are left out.

    Args:
        method: from `make_method` or a composition.
        exact: the teacher's logits as it gave them.
        stored: the same rows as a store gives them.
        labels: of these rows.

    Raises:
        ConfigError: fewer rows than the method takes views of a sample.
    """
    if len(exact) < method.views:
        raise ConfigError(f"{method.name} takes {method.views} views of each sample; found {len(exact)} row(s).")
    student = _student(exact)
    size = min(BATCH_ROWS, len(exact)) // method.views * method.views
    cosines = []
    for start in range(0, len(exact) - size + 1, size):
        rows = slice(start, start + size)
        ours = _gradient(method, student[rows], stored[rows], labels[rows])
        theirs = _gradient(method, student[rows], exact[rows], labels[rows])
        # two gradients of nothing agree, for instance of a method that asks no teacher
        agree = (ours == theirs).all(1)
        cosines.append(torch.where(agree, 1.0, cosine_similarity(ours, theirs, dim=1)))
    return float(torch.cat(cosines).mean())


def stored_cosines(reader: Reader, methods: Mapping[str, Method]) -> dict[str, float]:
    """The cosine of each of `methods` on the exact rows of a store; empty where it keeps none, being lossless.

    Raises:
        StoreIncomplete: the exact rows are not written yet.
        StoreDamaged: they are not the ones that were written.
    """
    manifest = reader.manifest
    exact = torch.from_numpy(reader.exact()[:MEASURED_ROWS])
    if not len(exact):
        return {}
    encoded, _ = reader.shard(manifest.parts["train"].layout.shards_of("train", 0)[0])
    first = {name: array[: len(exact)] for name, array in encoded.items()}
    stored = torch.from_numpy(reader.codec.decode(first, manifest.classes))
    labels = reader.labels("train")[manifest.row_order("train").sample_of_row[: len(exact)]]
    return {name: gradient_cosine(method, exact, stored, torch.from_numpy(labels)) for name, method in methods.items()}


def demand_faithful(
    readers: Iterable[Reader], label: str, methods: Iterable[Method], *, least: float, progress: Progress
) -> dict[str, float]:
    """The lowest cosine of `methods` on each store, by its id; it is announced. Lossless stores are left out.

    Args:
        readers: of the stores.
        label: what the methods are called together.
        methods: what a student learns by, at several times of a training perhaps.
        least: the lowest cosine that a store may have.
        progress: who is told.

    Raises:
        StoreMismatch: a store has lost what a method reads.
    """
    moments = {str(number): method for number, method in enumerate(methods)}
    lowest = {}
    for reader in readers:
        cosine = min(stored_cosines(reader, moments).values(), default=None)
        if cosine is None:
            continue
        if not cosine >= least:  # of a gradient that is no number neither
            raise StoreMismatch(_lost(reader, label, cosine, least))
        progress.say(f"{label} from {reader.path}: its gradient has a cosine of {cosine:.4f} with the exact one")
        lowest[reader.manifest.store_id] = cosine
    return lowest


def _lost(reader: Reader, label: str, cosine: float, least: float) -> str:
    return (
        f"{label} cannot learn from {reader.path}: the codec {reader.manifest.codec['name']} turns its gradient to a "
        f"cosine of {cosine:.3f} with the exact one, measured on rows that are stored exactly; {least:g} is the least. "
        "Dump with --codec uint8 or float16 to another --store, take another method, or accept it with "
        f"--set min_gradient_cosine={math.floor(100 * cosine) / 100}."
    )


def _student(exact: Logits) -> Logits:
    noise = torch.randn(exact.shape, generator=torch.Generator().manual_seed(0)).to(exact)
    spread = exact.std(dim=1, keepdim=True)
    return CORRELATION * exact + math.sqrt(1 - CORRELATION**2) * spread * noise


def _gradient(method: Method, student: Logits, teacher: Logits, labels: Labels) -> Pull:
    seen = student.clone().requires_grad_()
    loss = per_sample_loss(method, seen, teacher, labels).sum()
    gradient: Pull = torch.autograd.grad(loss, seen)[0]
    return gradient
