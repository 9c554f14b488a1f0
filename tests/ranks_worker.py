"""What each process of tests/test_torchrun.py does under torchrun: train some runs, one after the other.

    torchrun --nproc-per-node 2 tests/ranks_worker.py JOBS.json

A job is {"config": a TrainConfig} and may have "end_after": steps after which every process ends the run, to resume it,
or "die_after": steps after which the last rank is gone without a word, or "plain_batch": test images of a batch, there
and in later jobs. Or it is {"gradients": a method, "out": a file}.
"""

import copy
import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed

from cache_kd import rendering
from cache_kd.distill import per_sample_loss
from cache_kd.errors import KdCacheError
from cache_kd.methods import make_method
from cache_kd.models.zoo import build
from cache_kd.parts import parts_of
from cache_kd.ranks import open_ranks
from cache_kd.recorder import Recorder
from cache_kd.synced_norm import synchronise
from cache_kd.train import TrainConfig, resumed_config, train


class Ended(BaseException):
    pass


def main() -> None:
    torch.set_num_threads(1)
    for job in json.loads(Path(sys.argv[1]).read_text()):
        if "gradients" in job:
            _compare_gradients(job["gradients"], Path(job["out"]))
            continue
        config = TrainConfig.model_validate(job["config"])
        rendering.PLAIN_BATCH = job.get("plain_batch", rendering.PLAIN_BATCH)
        try:
            if "die_after" in job and os.environ["RANK"] == "1":
                _after(job["die_after"], lambda: os._exit(9))
            if "end_after" in job:
                restore = Recorder.after_step
                _after(job["end_after"], _end)
                try:
                    train(config)
                except Ended:
                    Recorder.after_step = restore
                train(resumed_config(config.out), resume=True)
            else:
                train(config)
        except KdCacheError as fault:
            (config.out.parent / f"{config.out.name}.rank{os.environ['RANK']}").write_text(str(fault))
            if "die_after" in job:
                raise SystemExit(1) from None
            torch.distributed.barrier()


def _compare_gradients(method, out):
    """The largest relative difference between the gradients of one and of all processes, in float64."""
    ranks = open_ranks("cpu", "float32")
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(33, 1, 28, 28, dtype=torch.float64, generator=generator)
    teacher = 3 * torch.randn(33, 10, dtype=torch.float64, generator=generator)
    labels = torch.randint(10, (33,), generator=generator)
    torch.manual_seed(0)
    alone = build("resnet8x0.5", classes=10, channels=1).double().train()
    part = copy.deepcopy(alone)
    per_sample_loss(make_method(method), alone(images), teacher, labels).mean().backward()
    synchronise(part, ranks.device)
    sizes = parts_of(33, parts=1, ranks=ranks.count)[0].sizes
    start = sum(sizes[: ranks.rank])
    parallel = torch.nn.parallel.DistributedDataParallel(part)  # its hooks live as long as it does
    logits = parallel(images[start : start + sizes[ranks.rank]])
    per_sample_loss(make_method(method), ranks.together(logits, sizes, 1), teacher, labels).mean().backward()
    worst = max(
        float((one.grad - other.grad).abs().max() / one.grad.abs().max())
        for one, other in zip(alone.parameters(), part.parameters(), strict=True)
    )
    if ranks.first:
        out.write_text(json.dumps(worst))


def _after(steps, act):
    original = Recorder.after_step

    def after_step(self, position, done, stop):
        original(self, position, done, stop)
        if done == steps:
            act()

    Recorder.after_step = after_step


def _end():
    raise Ended


if __name__ == "__main__":
    main()
