"""What the cache costs and saves in training: steps with cached logits over steps without a teacher, or a live one.

    python benchmarks/train.py [--batch-size 64 512] [--rounds 12 3] [--starts 4] [--device cuda] [--data FILE.h5]
                               [--json OUT]

A student resnet8x4 on images of 32x32x3 with 100 classes, in three processes that take turns of a step or a few
(turns.py): `plain` cross-entropy and `live kd`, with resnet32x4 in memory, know only the images; `cached kd` has its
store. All three are started several times over, for where a process happens to get its memory makes it faster or slower
for as long as it lives. Weights are fresh, and the store is a small teacher's: no figure depends on what the logits
are. Claims: cached / plain <= 1.03, waiting < 2 % of an epoch; live / cached stands beside the bound that FLOPs
give.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from material import colour_images, demo_teacher, images_of
from measure import Timing, figures, ratios, report, section, write_json
from torch.utils.flop_counter import FlopCounterMode
from turns import taking_turns

from cache_kd.device import DeviceName, describe_environment
from cache_kd.dump import DumpConfig, dump
from cache_kd.models.zoo import build
from cache_kd.train import Data, LiveTeacher, TrainConfig

CLASSES = 100
RECIPE = "cifar"
NORMALISE = "cifar100"
STORED_TEACHER = "resnet8"  # asking resnet32x4 would take longer than all that is timed
# of a turn: on a CPU a step or two, on a GPU so many that its coming to rest at the end is nothing
IMAGES = {"cpu": 128, "cuda": 4096}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--rounds", type=int, nargs="+", default=[12, 3], help="of a start, for each batch size")
    parser.add_argument("--starts", type=int, default=4)
    parser.add_argument("--student", default="resnet8x4")
    parser.add_argument("--teacher", default="resnet32x4", help="the live one")
    parser.add_argument("--data", type=Path, help="HDF5 file of 32x32x3 images in 100 classes, instead of made ones")
    parser.add_argument("--device", choices=tuple(IMAGES), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sizes = zip(arguments.batch_size, arguments.rounds, strict=True)
    results = {str(size): _measure(size, rounds, arguments) for size, rounds in sizes}
    if arguments.json is not None:
        title = f"steps of {arguments.student}, 32x32x3, {CLASSES} classes, live teacher {arguments.teacher}"
        device = describe_environment(torch.device(arguments.device))["device_name"]
        write_json(arguments.json, {"title": title, "device": device, "batch_sizes": results})


def _measure(batch_size: int, rounds: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Print what one batch size gives, and return it for the JSON."""
    steps = max(1, IMAGES[arguments.device] // batch_size)
    starts = [_turns(batch_size, steps, rounds, arguments) for _ in range(arguments.starts)]
    # the first turn of each warms it up
    timings = {
        name: Timing([seconds / steps for turns, _ in starts for seconds in turns[name][1:]]) for name in starts[0][0]
    }
    cost, saving = ratios(timings, "plain")["cached kd"], ratios(timings, "cached kd")["live kd"]
    bound = round(_bound(arguments.student, arguments.teacher), 3)
    # over its own turns: an epoch's seconds also count those of the others
    waiting = {
        name: round(max(ends[name]["waiting"] * ends[name]["seconds"] / sum(turns[name]) for turns, ends in starts), 5)
        for name in timings
    }
    memory = {name: round(max(ends[name]["peak_bytes"] for _, ends in starts) / 1e6, 1) for name in timings}
    report(f"a step of {arguments.student}, batch {batch_size}", timings, over="plain")
    print(f"  cached / plain {_shown(cost)}; asked: <= 1.03")
    print(f"  live / cached {_shown(saving)}; by FLOPs {bound}")
    print(f"  largest share of waiting for data {waiting}; asked: < 0.02")
    print(f"  highest peak in megabytes {memory}")
    facts = {
        "live_over_cached": figures(saving),
        "live_over_cached_by_flops": bound,
        "waiting_for_data_share": waiting,
        "peak_megabytes": memory,
    }
    return section(timings, over="plain", facts=facts)


def _turns(
    batch_size: int, steps: int, rounds: int, arguments: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, dict[str, Any]]]:
    """Seconds of every turn of each kind, and what the metrics of each say of their one epoch."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        trainings = {
            name: stack.enter_context(taking_turns(config, steps=steps, threads=arguments.threads))
            for name, config in _configs(Path(folder), batch_size, (rounds + 1) * steps, arguments).items()
        }
        turns: dict[str, list[float]] = {name: [] for name in trainings}
        for number in range(rounds + 1):
            # there and back again: a machine that slows down favours nobody
            for name in turns if number % 2 else reversed(turns):
                turns[name].append(trainings[name].turn())
        return turns, {name: training.finish() for name, training in trainings.items()}


def _configs(folder: Path, batch_size: int, steps: int, arguments: argparse.Namespace) -> dict[str, TrainConfig]:
    """One epoch of `steps` steps of each kind, on the same images."""
    count = batch_size * steps
    images = folder / "images.h5"
    if arguments.data is None:
        colour_images(images, count, classes=CLASSES)
    else:
        images_of(arguments.data, images, count)
    weights = demo_teacher(
        arguments.teacher, folder / "teacher.safetensors", classes=CLASSES, channels=3, normalise=NORMALISE
    )
    shared: dict[str, Any] = {
        "student": arguments.student,
        "epochs": 1,
        "batch_size": batch_size,
        "device": arguments.device,
        "workers": 0,  # one that renders would go on while its training is frozen
    }
    without_store = {**shared, "data": Data(data=str(images), recipe=RECIPE, normalise=NORMALISE)}
    live = LiveTeacher(name=arguments.teacher, checkpoint=weights)
    return {
        "plain": TrainConfig(**without_store, out=folder / "plain"),
        "cached kd": TrainConfig(**shared, out=folder / "cached", store=_dump(images, arguments.device), method="kd"),
        "live kd": TrainConfig(**without_store, out=folder / "live", live_teacher=live, method="kd"),
    }


def _dump(images: Path, device: DeviceName) -> tuple[Path]:
    folder = images.parent
    weights = demo_teacher(
        STORED_TEACHER, folder / "stored.safetensors", classes=CLASSES, channels=3, normalise=NORMALISE
    )
    config = DumpConfig(
        data=str(images),
        teacher=STORED_TEACHER,
        checkpoint=weights,
        store=folder / "store",
        recipe=RECIPE,
        views=1,
        device=device,
    )
    return (Path(dump(config).store),)


def _bound(student: str, teacher: str) -> float:
    """Live / cached if only multiplications cost time; the student's backward pass has twice those of the forward."""
    own = 3 * _multiplications(student)
    return (own + _multiplications(teacher)) / own


def _multiplications(name: str) -> int:
    """Of the forward pass of one image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        build(name, classes=CLASSES, channels=3).eval()(torch.zeros(1, 3, 32, 32))
    return int(counter.get_total_flops()) // 2


def _shown(ratio: Timing) -> str:
    low, high = ratio.spread
    return f"{ratio.median:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
