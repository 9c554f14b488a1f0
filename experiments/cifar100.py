"""Every run behind docs/results.md: a teacher, its stores, and the students that are compared.

    python experiments/cifar100.py --data cifar100.h5 --out results [--jobs 2] [--minutes 110] [--only methods ...]

Stop it at any moment, or give it --minutes: the same command goes on where it was, and what is finished costs nothing.
`cifar100.h5` is any HDF5 file with groups `train` and `test`, each `images` uint8 [N, 32, 32, 3] and `labels` [N];
Then `python experiments/results_page.py results` fills the page's tables.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

METHODS = "ce,kd,normkd,la,dtd,rld,atkd,lskd,dkd,dkd+normkd,rld+lskd,kd+la+dtd"
LONGER_METHODS = "kd,la,dtd,kd+la+dtd"
PARTS = ("teacher", "same", "methods", "views", "longer")
# On a GPU, with the weights that the literature's benchmark publishes for the teacher: one student of the teacher's
# family and one of another.
PUBLISHED_TEACHER = "resnet32x4"
PUBLISHED_STUDENTS = ("resnet8x4", "ShuffleV2")
PUBLISHED_METHODS = "ce,kd,normkd,dtd,la,rld,atkd,lskd,dkd"
SETTLE = 120  # seconds that an interrupted command has to save its state


def main() -> int:
    """Run what is not finished; 1 where something is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar100.h5", help="HDF5 file")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--jobs", default="2", help="students that train at the same time")
    parser.add_argument("--minutes", type=float, default=None, help="stop after so many")
    parser.add_argument("--only", nargs="+", default=PARTS, choices=(*PARTS, "published"))
    parser.add_argument("--published", default="resnet32x4.pth", help="weights of the teacher of the part published")
    parser.add_argument("--print", action="store_true", help="print the commands and run none")
    arguments = parser.parse_args()
    deadline = None if arguments.minutes is None else time.monotonic() + 60 * arguments.minutes
    for part, words in commands(arguments.data, arguments.out, arguments.jobs, arguments.published):
        if part not in arguments.only:
            continue
        print(f"$ {shlex.join(['kdcache', *words])}", flush=True)
        if not arguments.print and not run(words, deadline):
            print("Not finished: the same command goes on with this one.")
            return 1
    return 0


def commands(data: str, out: Path, jobs: str, published: str) -> Iterator[tuple[str, list[str]]]:
    """What `kdcache` is asked for, in order, each with its part; what is finished costs nothing to ask for again.

    The students of all parts but `same` and `published` train in bfloat16, which halves their time on a processor that
    has it; of these two every number is float32.
    """
    teacher, store, exact = out / "teacher", out / "store", out / "store-float32"
    narrow = ["compare", "--student", "resnet8x0.5", "--jobs", jobs, "--seeds", "3"]

    def dump(of: str, weights: str, views: int, to: Path, *more: str) -> list[str]:
        asked = ["dump", "--data", data, "--teacher", of, "--checkpoint", weights, "--recipe", "cifar"]
        return [*asked, "--views", str(views), "--store", str(to), *more]

    if (teacher / "config.json").is_file() and not (teacher / "summary.json").is_file():
        yield "teacher", ["train", "--resume", str(teacher)]
    elif not (teacher / "summary.json").is_file():
        recipe = ["--epochs", "10", "--batch-size", "128", "--lr", "0.1", "--set", "schedule.warmup_epochs=1"]
        named = ["--data", data, "--student", "resnet20", "--normalise", "cifar100"]
        yield "teacher", ["train", *named, *recipe, "--out", str(teacher)]
    weights = str(teacher / "weights.safetensors")

    recipe = ["--preset", "quick", "--epochs", "5", "--set", "log_steps=1", "--methods", "kd", "--set", "views=5"]
    yield "same", dump("resnet20", weights, 5, exact, "--codec", "float32")
    yield "same", [*narrow, "--store", str(exact), *recipe, "--live", "--out", str(out / "same-float32")]
    yield "same", dump("resnet20", weights, 5, store)
    yield "same", [*narrow, "--store", str(store), *recipe, "--out", str(out / "same-float16")]

    recipe = ["--preset", "quick", "--set", "precision=bf16"]
    yield (
        "methods",
        [*narrow, "--store", str(store), *recipe, "--epochs", "5", "--set", "views=5", "--methods", METHODS,
         "--out", str(out / "methods")],
    )  # fmt: skip
    yield "views", dump("resnet20", weights, 16, store)
    yield (
        "views",
        [*narrow, "--store", str(store), *recipe, "--epochs", "16", "--methods", "kd", "--vary", "views=1,4,16",
         "--out", str(out / "views")],
    )  # fmt: skip

    yield (
        "longer",
        [*narrow, "--store", str(store), *recipe, "--epochs", "16", "--set", "views=16", "--methods", LONGER_METHODS,
         "--out", str(out / "longer")],
    )  # fmt: skip

    yield "published", dump(PUBLISHED_TEACHER, published, 240, out / "store-published", "--normalise", "cifar100")
    yield (
        "published",
        ["compare", *(word for student in PUBLISHED_STUDENTS for word in ("--student", student)),
         "--store", str(out / "store-published"), "--preset", "cifar100", "--epochs", "240", "--batch-size", "64",
         "--set", "published=cifar", "--seeds", "3", "--methods", PUBLISHED_METHODS, "--out", str(out / "published")],
    )  # fmt: skip


def run(words: list[str], deadline: float | None) -> bool:
    """Whether the command came to its end; past the deadline it is interrupted, and saves what it has.

    Raises:
        SystemExit: it failed.
    """
    command = [sys.executable, "-m", "cache_kd.cli", *words]
    threads = {"OMP_NUM_THREADS": "1"} if words[0] == "train" else {}
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    process = subprocess.Popen(command, env={**os.environ, **threads})
    try:
        code = process.wait(timeout=left)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.send_signal(signal.SIGINT)
        process.wait(timeout=SETTLE)
        return False
    if code:
        raise SystemExit(code)
    return True


if __name__ == "__main__":
    sys.exit(main())
