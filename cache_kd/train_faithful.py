"""Whether the stores of a training are true enough for its method, asked before its first step."""

from cache_kd.faithfulness import demand_faithful
from cache_kd.material import Material
from cache_kd.progress import Progress
from cache_kd.train_config import TrainConfig


def demand_faithful_stores(config: TrainConfig, material: Material, progress: Progress) -> dict[str, float]:
    """How truly the method learns from each store, by the store's id: a cosine, see `faithfulness`; it is announced.

    Empty where no stored logits are read, or all of them are exact.

    Raises:
        StoreMismatch: a store has lost what the method reads.
    """
    if config.live_teacher is not None or not config.asks_a_teacher:
        return {}
    ends = (config.at(1), config.at(config.epochs))  # a course may lead from one to the other
    return demand_faithful(
        [store.reader for store in material.stores],
        config.label,
        [method for method in ends if method is not None],
        least=config.min_gradient_cosine,
        progress=progress,
    )
