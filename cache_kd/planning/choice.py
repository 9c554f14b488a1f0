"""Which codec to take: limits on bytes and on truth, the best of those within them, and the front they stand on."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from cache_kd.config import Config
from cache_kd.faithfulness import LEAST_COSINE
from cache_kd.planning.price import Price

# Where nothing is asked for: what no measurement of a student can tell from the exact logits. An epoch's order or
# the seed moves a student by more than 1e-4 nats of its targets do.
DEFAULT_KL = 1e-4
DEFAULT_TEMPERATURES = (1, 4)
DEFAULT_COSINE = 0.999

# stores whose rows take the same differ in metadata, float16's and bfloat16's by 32 bytes
SAME_SIZE = 1.01


class Wish(Config):
    """What a store may take and lose.

    With neither a budget nor a KL, KL at T = 1 and 4 below 1e-4 and every method's cosine at 0.999 or more is meant. A
    codec from which `kdcache train` would refuse a method that was asked for is never taken.

    Attributes:
        budget_bytes: of the whole store.
        max_kl: mean KL(teacher || stored) in nats at `at_tau`.
        at_tau: the temperature that counts.
    """

    budget_bytes: Annotated[int, Field(gt=0)] | None = None
    max_kl: Annotated[float, Field(gt=0)] | None = None
    at_tau: Annotated[int, Field(ge=1)] = 4

    @property
    def is_default(self) -> bool:
        """Whether nothing was asked for."""
        return self.budget_bytes is None and self.max_kl is None

    @property
    def least_cosine(self) -> float:
        """Of every method that was asked about."""
        return DEFAULT_COSINE if self.is_default else LEAST_COSINE

    def __str__(self) -> str:
        if self.is_default:
            return f"KL at T = 1 and 4 up to {DEFAULT_KL:g}, cosines of at least {DEFAULT_COSINE:g} (the default)"
        limits = [
            f"at most {self.budget_bytes:,} bytes in all" if self.budget_bytes is not None else "",
            f"KL at T = {self.at_tau} up to {self.max_kl:g}" if self.max_kl is not None else "",
            f"cosines of at least {self.least_cosine:g}",
        ]
        return ", ".join(filter(None, limits))


class Choice(Config):
    """What was found.

    Attributes:
        recommended: the codec to take; None where none meets the wish.
        nearest: the one that misses it by the least factor; the recommended one where there is one.
        misses: what the nearest one misses, in words; empty where it meets the wish.
        front: codecs than which no other is both as small, to 1 %, and truer at `at_tau`, by size.
    """

    recommended: str | None
    nearest: str
    misses: tuple[str, ...]
    front: tuple[str, ...]


def choose(prices: Sequence[Price], wish: Wish) -> Choice:
    """Within a budget alone, the truest at `at_tau`; else the smallest that meets the wish, to 1 % of its bytes.

    Of those equally small it is the truest.

    Args:
        prices: at least one.
        wish: what the store may take and lose.
    """
    fitting = [price for price in _by_size(prices, wish.at_tau) if excess(price, wish) <= 1]
    if wish.budget_bytes is not None and wish.max_kl is None:
        fitting.sort(key=lambda price: price.fidelity.kl[wish.at_tau])
    best = next(iter(fitting), None)
    nearest = best or min(prices, key=lambda price: excess(price, wish))
    return Choice(
        recommended=None if best is None else best.codec,
        nearest=nearest.codec,
        misses=() if best else tuple(words for words, ratio in _ratios(nearest, wish).items() if ratio > 1),
        front=tuple(price.codec for price in front(prices, wish.at_tau)),
    )


def front(prices: Sequence[Price], at_tau: int) -> list[Price]:
    """The Pareto front of size, to 1 %, against KL at `at_tau`: none is as small and as true; of equals, the first."""
    kept: list[Price] = []
    for price in _by_size(prices, at_tau):
        if not kept or price.fidelity.kl[at_tau] < kept[-1].fidelity.kl[at_tau]:
            kept.append(price)
    return kept


def excess(price: Price, wish: Wish) -> float:
    """By which factor a codec misses the limit that it misses most; at most 1 where it meets the wish."""
    return max(_ratios(price, wish).values(), default=0.0)


def _ratios(price: Price, wish: Wish) -> dict[str, float]:
    """How much of each limit a codec takes, by what it takes in words."""
    kl = price.fidelity.kl
    ratios = {}
    if wish.budget_bytes is not None:
        ratios[f"{price.size.total:,} bytes"] = price.size.total / wish.budget_bytes
    if wish.max_kl is not None:
        ratios[f"KL {kl[wish.at_tau]:.1e} at T = {wish.at_tau}"] = kl[wish.at_tau] / wish.max_kl
    if wish.is_default:
        ratios |= {f"KL {kl[tau]:.1e} at T = {tau}": kl[tau] / DEFAULT_KL for tau in DEFAULT_TEMPERATURES}
    for method, cosine in price.cosines.items():
        ratios[f"a cosine of {cosine:.4f} for {method}"] = (1 - cosine) / (1 - wish.least_cosine)
    return ratios


def _by_size(prices: Sequence[Price], at_tau: int) -> list[Price]:
    """The smallest first; whatever is within 1 % of the smallest of its like is as small, and the truer comes first."""
    like: dict[int, int] = {}  # the smallest size that counts as the same, of each size
    smallest = 0
    for size in sorted(price.size.total for price in prices):
        smallest = smallest if size <= SAME_SIZE * smallest else size
        like[size] = smallest
    return sorted(prices, key=lambda price: (like[price.size.total], price.fidelity.kl[at_tau], price.size.total))
