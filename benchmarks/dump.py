"""What `dump` adds to the teacher: its wall time over the bare loop "render, teacher forward" on the same rows.

    python benchmarks/dump.py [--json OUT] [--rounds 7] [--rows 2560] [--teacher resnet20]

Both in one process, in turn; one thread for torch, so that the comparison is of code. Claim: <= 1.05.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from material import demo_teacher, small_images
from measure import interleave, report

from cache_kd.dump import DumpConfig, dump
from cache_kd.models.teacher import load_teacher
from cache_kd.sources.open import open_source
from cache_kd.sources.source import SourceSpec
from cache_kd.views import make_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2560)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--teacher", default="resnet20")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        images = small_images(Path(folder) / "images.h5", train=arguments.rows)
        weights = demo_teacher(arguments.teacher, Path(folder) / "weights.safetensors")
        store = Path(folder) / "store"
        config = DumpConfig(
            data=str(images),
            teacher=arguments.teacher,
            checkpoint=weights,
            store=store,
            views=1,
            batch_size=256,
            device="cpu",
        )

        def whole_dump() -> None:
            shutil.rmtree(store, ignore_errors=True)
            dump(config)

        source = open_source(SourceSpec(data=str(images)))
        recipe = make_recipe("cifar")
        teacher = load_teacher(arguments.teacher, weights, classes=10, channels=1, device=torch.device("cpu"))

        def bare_loop() -> None:
            for start in range(0, len(source), 256):
                samples = np.arange(start, min(start + 256, len(source)))
                teacher.logits(recipe.view(source, 0, samples, 0))

        timings = interleave({"dump": whole_dump, "bare loop": bare_loop}, arguments.rounds)
    report(f"dump of {arguments.rows} rows, {arguments.teacher}", timings, over="bare loop", json=arguments.json)


if __name__ == "__main__":
    main()
