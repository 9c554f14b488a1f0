"""Sees that logits, labels and what a method's roles make of them have the shapes that a loss per sample needs."""

from torch import Tensor

from cache_kd.errors import ConfigError


def demand_shape(name: str, what: str, found: object, expected: tuple[tuple[int, ...], ...], mend: str) -> None:
    """See that `found` is a tensor of one of the `expected` shapes: others broadcast, and train another loss.

    Args:
        name: of the method.
        what: is asked about, such as "the divergence's loss".
        found: the tensor.
        expected: shapes, any of which will do.
        mend: what the expected shape means, and how to come to it.

    Raises:
        ConfigError: it has none of them, or is no tensor.
    """
    if isinstance(found, Tensor) and found.shape in expected:
        return
    shape = f"of shape {list(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}, no tensor"
    wanted = " or ".join(str(list(each)) for each in expected)
    raise ConfigError(f"{name}: {what} is {shape}; expected {wanted}: {mend}.")
