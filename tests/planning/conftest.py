"""Prices by hand, and a pilot of the small teacher."""

import pytest

from cache_kd.planning.price import Price
from cache_kd.planning.store_size import StoreSize
from cache_kd.store.fidelity import Fidelity


@pytest.fixture(scope="session")
def make_price():
    """A function that makes a price of a size, a KL at every temperature, and cosines."""

    def make(name: str, total: int, kl: float, cosines: dict[str, float] | None = None) -> Price:
        return Price(
            codec=name,
            option=name,
            size=StoreSize(total=total, per_view=total / 100),
            gzip_per_view=total / 200,
            fidelity=Fidelity(rows=100, kl={1: kl, 2: kl, 4: kl}, top1=1.0, largest_error=0.1, std_error=kl),
            cosines=cosines or {},
        )

    return make


@pytest.fixture(scope="session")
def small_teacher(teacher_weights):
    """The teacher of two epochs."""
    import torch

    from cache_kd.models.teacher import load_teacher

    return load_teacher("resnet8x0.5", teacher_weights, classes=10, channels=1, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def pilot(images, small_teacher):
    """256 views of it, in batches of 32."""
    from cache_kd.planning.pilot import run_pilot
    from cache_kd.rendering import open_renderer
    from cache_kd.sources.open import open_source
    from cache_kd.sources.source import SourceSpec
    from cache_kd.views import make_recipe

    source = open_source(SourceSpec(data=str(images)))
    with open_renderer({"train": source}, make_recipe("cifar"), seed=0) as renderer:
        return run_pilot(small_teacher, renderer, seed=0, views=2, size=256, batch_size=32, advance=lambda done: None)
