"""The recommendation as a pure function: what it takes, what it says where nothing fits, how it moves with the wish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_kd.planning.choice import Wish, choose, excess, front
from cache_kd.planning.price import Price
from cache_kd.planning.store_size import StoreSize
from cache_kd.store.fidelity import Fidelity

SIZES = st.integers(1, 10**9)
DIVERGENCES = st.floats(0, 10) | st.sampled_from([0.0, 1e-6, 1e-4])
COSINES = st.floats(-1, 1) | st.sampled_from([1.0, 0.999, 0.9])


@st.composite
def prices(draw):
    """Between one and eight codecs with any figures."""
    return [
        Price(
            codec=f"codec{number}",
            option="float16",
            size=StoreSize(total=draw(SIZES), per_view=1.0),
            gzip_per_view=1.0,
            fidelity=Fidelity(
                rows=1,
                kl={1: draw(DIVERGENCES), 2: draw(DIVERGENCES), 4: draw(DIVERGENCES)},
                top1=1.0,
                largest_error=0.0,
                std_error=0.0,
            ),
            cosines={"kd": draw(COSINES), "rld": draw(COSINES)},
        )
        for number in range(draw(st.integers(1, 8)))
    ]


LIMITS = st.floats(1e-9, 1)
WISHES = st.builds(Wish, budget_bytes=st.none() | SIZES, max_kl=st.none() | LIMITS, at_tau=st.sampled_from([1, 2, 4]))


@pytest.fixture
def four(make_price):
    """As measured on a teacher of 100 classes, roughly."""
    return [
        make_price("packed4", 25, 8e-4, {"kd": 0.998, "rld": 0.99}),
        make_price("uint8", 26, 9e-6, {"kd": 0.9999, "rld": 0.998}),
        make_price("float16", 45, 3e-8, {"kd": 1.0, "rld": 0.9999}),
        make_price("float32", 88, 0.0, {"kd": 1.0, "rld": 1.0}),
    ]


@pytest.mark.parametrize(
    ("wish", "taken"),
    [
        ({}, "float16"),  # uint8 turns rld's gradient too far
        ({"max_kl": 1e-2}, "packed4"),
        ({"max_kl": 1e-4}, "uint8"),
        ({"max_kl": 1e-6}, "float16"),
        ({"max_kl": 1e-9}, "float32"),
        ({"budget_bytes": 25}, "packed4"),
        ({"budget_bytes": 44}, "uint8"),
        ({"budget_bytes": 45}, "float16"),
        ({"budget_bytes": 1000}, "float32"),
        ({"budget_bytes": 1000, "max_kl": 1e-4}, "uint8"),
    ],
)
def test_the_recommendation_moves_with_the_wish(four, wish, taken):
    assert choose(four, Wish(**wish)).recommended == taken


def test_where_nothing_fits_the_nearest_is_named_with_what_it_misses(four):
    choice = choose(four, Wish(budget_bytes=30, max_kl=5e-6))
    assert choice.recommended is None
    assert choice.nearest == "float16"
    assert choice.misses == ("45 bytes",)  # 1.5 times the budget; uint8 has 1.8 times the KL
    assert choose(four, Wish(budget_bytes=20)).nearest == "packed4"


def test_a_codec_that_training_would_refuse_is_never_taken(make_price):
    turned = make_price("topk", 10, 1e-9, {"rld": 0.5})
    assert choose([turned], Wish(max_kl=1e-4)).misses == ("a cosine of 0.5000 for rld",)
    assert choose([turned, make_price("float16", 45, 1e-8)], Wish(max_kl=1e-4)).recommended == "float16"


@pytest.mark.parametrize("names", [("bfloat16", "float16"), ("float16", "bfloat16")], ids=" then ".join)
def test_of_two_that_differ_by_metadata_alone_the_truer_is_taken_and_stands_on_the_front(make_price, names):
    both = {"bfloat16": make_price("bfloat16", 999_968, 1.2e-5), "float16": make_price("float16", 1_000_000, 1.8e-7)}
    choice = choose([both[name] for name in names], Wish())
    assert choice.recommended == "float16"
    assert choice.front == ("float16",)
    further = make_price("float16", 1_020_000, 1.8e-7)
    assert choose([both["bfloat16"], further], Wish()).recommended == "bfloat16"
    assert len(front([both["bfloat16"], further], 4)) == 2


def test_the_temperature_that_counts_decides():
    cold = Fidelity(rows=1, kl={1: 1e-3, 4: 1e-6}, top1=1.0, largest_error=0.0, std_error=0.0)
    warm = cold.model_copy(update={"kl": {1: 1e-6, 4: 1e-3}})
    both = [
        Price(codec=name, option=name, size=StoreSize(total=size, per_view=1.0), gzip_per_view=1.0, fidelity=found,
              cosines={})
        for name, size, found in (("cold", 10, cold), ("warm", 11, warm))
    ]  # fmt: skip
    assert choose(both, Wish(max_kl=1e-5, at_tau=4)).recommended == "cold"
    assert choose(both, Wish(max_kl=1e-5, at_tau=1)).recommended == "warm"
    assert choose(both, Wish()).recommended is None


@given(prices(), WISHES)
def test_what_is_taken_meets_every_limit_and_nothing_better_does(all_prices, wish):
    choice = choose(all_prices, wish)
    by_name = {price.codec: price for price in all_prices}
    fitting = [price for price in all_prices if excess(price, wish) <= 1]
    assert (choice.recommended is None) == (not fitting) == bool(choice.misses)
    if choice.recommended is None:
        assert all(excess(by_name[choice.nearest], wish) <= excess(price, wish) for price in all_prices)
        return
    best = by_name[choice.recommended]
    assert choice.nearest == best.codec
    assert best.size.total <= (wish.budget_bytes or best.size.total)
    assert best.fidelity.kl[wish.at_tau] <= (wish.max_kl or best.fidelity.kl[wish.at_tau])
    if wish.budget_bytes is not None and wish.max_kl is None:
        assert all(best.fidelity.kl[wish.at_tau] <= price.fidelity.kl[wish.at_tau] for price in fitting)
    else:
        assert all(best.size.total <= 1.01 * price.size.total for price in fitting)


@given(prices(), st.tuples(SIZES, SIZES), st.tuples(LIMITS, LIMITS))
def test_more_bytes_never_cost_truth_and_more_kl_never_costs_bytes(all_prices, budgets, limits):
    by_name = {price.codec: price for price in all_prices}
    tight, loose = (choose(all_prices, Wish(budget_bytes=budget)).recommended for budget in sorted(budgets))
    if tight is not None:
        assert by_name[loose].fidelity.kl[4] <= by_name[tight].fidelity.kl[4]
    tight, loose = (choose(all_prices, Wish(max_kl=limit)).recommended for limit in sorted(limits))
    if tight is not None:
        assert by_name[loose].size.total <= 1.01 * by_name[tight].size.total


@given(prices(), st.sampled_from([1, 2, 4]))
def test_whoever_is_not_on_the_front_is_beaten_by_one_who_is(all_prices, at_tau):
    on_front = front(all_prices, at_tau)

    def beats(one, other, slack=1.0):
        small = one.size.total <= slack * other.size.total
        return small and one.fidelity.kl[at_tau] <= other.fidelity.kl[at_tau]

    for price in all_prices:
        assert any(beats(better, price, slack=1.01) for better in on_front)
    assert not any(beats(one, other) for one in on_front for other in on_front if one is not other)
