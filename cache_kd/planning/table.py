"""A plan's figures as tables for people: two digits that matter, never rounded to something better."""

from collections.abc import Sequence
from math import floor

from cache_kd.planning.choice import Choice
from cache_kd.planning.price import Price

Rows = list[list[str]]  # headings first


def size_table(prices: Sequence[Price], choice: Choice) -> Rows:
    """What each codec takes, and how far what it gives back is from the teacher."""
    temperatures = prices[0].fidelity.kl
    return [
        ["codec", "B/view", "gzip", "MB", *(f"KL T={temperature}" for temperature in temperatures), "top-1"],
        *(
            [
                _marked(price, choice),
                f"{price.size.per_view:.0f}",
                f"{price.gzip_per_view:.0f}",
                f"{price.size.total / 1e6:,.1f}",
                *map(nats, price.fidelity.kl.values()),
                share(price.fidelity.top1, 4),
            ]
            for price in prices
        ),
    ]


def method_table(prices: Sequence[Price], choice: Choice) -> Rows:
    """What each method's gradient keeps, and the error of a row's standard deviation, which some of them divide by."""
    return [
        ["codec", "std err", *prices[0].cosines],
        *(
            [
                _marked(price, choice),
                nats(price.fidelity.std_error),
                *(share(cosine, 4) for cosine in price.cosines.values()),
            ]
            for price in prices
        ),
    ]


def _marked(price: Price, choice: Choice) -> str:
    """The codec's name behind `►` where it is recommended, `*` where it stands on the front."""
    mark = "►" if price.codec == choice.recommended else "*" if price.codec in choice.front else " "
    return f"{mark} {price.codec}"


def nats(value: float) -> str:
    """Two digits of something near 0.

    >>> nats(0.0), nats(5.67e-05), nats(0.31)
    ('0', '5.7e-5', '3.1e-1')
    """
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits}e{int(power)}" if value else "0"


def share(value: float, digits: int) -> str:
    """A share up to 1, cut rather than rounded: only what is 1 says 1.

    >>> share(1.0, 4), share(0.99999, 4), share(0.98761, 4)
    ('1', '0.9999', '0.9876')
    """
    return "1" if value >= 1 else f"{floor(value * 10**digits) / 10**digits:.{digits}f}"
