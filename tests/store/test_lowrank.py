"""A row as a mix of the directions that its teacher's rows have, and its largest logits."""

import pytest
import torch

from cache_kd.errors import ModelError
from cache_kd.store.codec import Answers, make_codec

CLASSES = 80


def _rows(directions: int, rows: int, seed: int) -> Answers:
    mix = torch.randn(directions, CLASSES, generator=torch.Generator().manual_seed(0))
    return Answers(2 + torch.randn(rows, directions, generator=torch.Generator().manual_seed(seed)) @ mix)


def _stored(spec, pilot: Answers, answers: Answers) -> torch.Tensor:
    codec = make_codec(spec)
    codec = codec.equipped(codec.fit(pilot))
    return torch.from_numpy(codec.decode(codec.encode(answers), CLASSES))


def test_rows_of_no_more_directions_than_the_rank_lose_only_the_rounding_of_8_bits():
    pilot, answers = _rows(6, 300, 1), _rows(6, 100, 2)
    stored = _stored({"name": "lowrank", "rank": 6, "exact": 1}, pilot, answers)
    assert (stored - answers.logits).square().mean() < 5e-4 * answers.logits.var()
    fewer = _stored({"name": "lowrank", "rank": 5, "exact": 1}, pilot, answers)
    assert (fewer - answers.logits).square().mean() > 0.02 * answers.logits.var()


def test_no_other_logit_comes_back_above_the_largest_ones():
    pilot, answers = _rows(20, 300, 1), _rows(20, 100, 2)
    stored = _stored({"name": "lowrank", "rank": 4, "exact": 3}, pilot, answers)
    exact = answers.logits.topk(3, dim=1)
    assert torch.equal(stored.gather(1, exact.indices), exact.values.half().float())
    assert (stored.topk(3, dim=1).values == exact.values.half().float()).all()


def test_a_pilot_of_fewer_rows_than_directions_gives_directions_of_nothing_for_the_rest():
    codec = make_codec({"name": "lowrank", "rank": 8, "exact": 1})
    parameters = codec.fit(_rows(20, 4, 1))
    assert parameters["basis"].shape == (8, CLASSES)
    # four rows lie in three directions around their mean
    assert [bool(row.any()) for row in parameters["basis"]] == [True] * 3 + [False] * 5
    answers = _rows(20, 4, 1)
    stored = torch.from_numpy(codec.equipped(parameters).decode(codec.equipped(parameters).encode(answers), CLASSES))
    assert (stored - answers.logits).abs().max() < 0.2


def test_rank_and_exact_are_no_more_than_there_are_classes():
    resolved = make_codec("lowrank").resolved(classes=10, features=None)
    assert resolved.to_json() == {"name": "lowrank", "version": 1, "rank": 10, "exact": 10}


def test_what_float16_cannot_hold_is_refused():
    answers = _rows(3, 4, 1)
    codec = make_codec("lowrank")
    codec = codec.equipped(codec.fit(answers))
    answers.logits[2, 5] = -1e5
    with pytest.raises(ModelError, match=r"row 2, class 5: .*65504"):
        codec.encode(answers)
