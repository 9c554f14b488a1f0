"""Stores of several teachers become the store of their mean, shard by shard, and say so."""

import json
import math
import shlex
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cache_kd.cli.main import main
from cache_kd.dump import dump
from cache_kd.ensemble import average
from cache_kd.errors import ConfigError, ModelError, StoreError, StoreMismatch, UnprovenAlignment
from cache_kd.merge import MergeConfig, merge, shares_of
from cache_kd.repair import repair
from cache_kd.store.manifest import _store_ids, read_manifest, root_file
from cache_kd.store.reader import Reader
from cache_kd.store.writer import Writer
from cache_kd.train import LiveTeacher, TrainConfig, train
from cache_kd.verify import verify
from cache_kd.views.cifar import Cifar

EVERY = np.arange(512)


@pytest.fixture(scope="session")
def members(stores, dump_config, second_weights, tmp_path_factory) -> tuple[Path, Path]:
    """Two teachers over the same two views, one as float32, one as uint8."""
    path = tmp_path_factory.mktemp("members") / "second"
    dump(dump_config(path, checkpoint=second_weights, codec="uint8"))
    return stores["float32"], path


@pytest.fixture
def config(members, tmp_path):
    """A function that makes a MergeConfig of the two teachers."""
    return lambda **changes: MergeConfig(
        **({"members": members, "store": tmp_path / "merged", "codec": "float32"} | changes)
    )


def rows(path, part="train", view=1, samples=EVERY):
    return torch.from_numpy(Reader.open(path).view(part, view).rows(samples))


# ---- the mean


def test_logits_are_the_weighted_mean_of_the_members_in_every_part(config, members, tmp_path):
    result = merge(config(weights=(3.0, 1.0)))
    assert (result.views, result.samples, result.merged_rows) == (2, 512, 1152)
    first, second = (rows(path) for path in members)
    torch.testing.assert_close(rows(tmp_path / "merged"), 0.75 * first + 0.25 * second)
    first, second = (rows(path, "test", 0, EVERY[:128]) for path in members)
    torch.testing.assert_close(rows(tmp_path / "merged", "test", 0, EVERY[:128]), 0.75 * first + 0.25 * second)


def test_probabilities_are_averaged_at_temperature_1(config, members, tmp_path):
    merge(config(average="probabilities"))
    expected = torch.stack([rows(path).softmax(1) for path in members]).mean(0)
    torch.testing.assert_close(rows(tmp_path / "merged").softmax(1), expected)


def test_two_rows_by_hand():
    """softmax (1/2, 1/2) and (1/4, 3/4): the arithmetic mean is (3/8, 5/8), the geometric one 1 : sqrt 3."""
    logits = torch.tensor([[[0.0, 0.0]], [[0.0, math.log(3)]]])
    arithmetic = average(logits, "probabilities", (1.0, 1.0)).softmax(1)
    torch.testing.assert_close(arithmetic, torch.tensor([[0.375, 0.625]]))
    torch.testing.assert_close(average(logits, "logits", (1.0, 1.0)), torch.tensor([[0.0, math.log(3) / 2]]))


@given(st.integers(0, 2**32 - 1), st.floats(0.25, 8.0))
def test_mean_logits_are_the_geometric_mean_at_every_temperature(seed, tau):
    logits = 8 * torch.randn(3, 4, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    weights = (0.5, 0.2, 0.3)
    log_mean = sum(share * (of_one / tau).log_softmax(1) for share, of_one in zip(weights, logits, strict=True))
    softened = (average(logits, "logits", weights) / tau).log_softmax(1)
    torch.testing.assert_close(softened, log_mean.log_softmax(1))


# ---- what the store says


def test_the_manifest_names_the_members_and_what_they_have_in_common(config, members, tmp_path):
    merge(config(weights=(3.0, 1.0)))
    manifest, first = read_manifest(tmp_path / "merged"), read_manifest(members[0])
    assert manifest.teacher.name == "ensemble:logits(resnet8x0.5,resnet8x0.5)"
    assert manifest.teacher.normalise == first.teacher.normalise
    assert manifest.alignment == "proven"
    ids = [read_manifest(member).store_id for member in members]
    assert {member.store_id: member.share for member in manifest.ensemble.members} == dict(
        zip(ids, (0.75, 0.25), strict=True)
    )
    merged, member = Reader.open(tmp_path / "merged"), Reader.open(members[1])
    for view in range(2):
        assert np.array_equal(merged.digests("train", view), member.digests("train", view))
        assert np.array_equal(merged.witnesses(view), member.witnesses(view))
    assert np.array_equal(merged.labels("test"), member.labels("test"))
    assert merged.check(deep=True) == []


def test_whatever_decides_the_mean_decides_the_id(config, members, tmp_path):
    ways = (
        {}, {"average": "probabilities"}, {"weights": (2.0, 1.0)}, {"weights": (1.0, 2.0)}, {"codec": "float16"},
        {"normalise": {"mean": [0.5], "std": [0.5]}},
    )  # fmt: skip
    ids = [merge(config(store=tmp_path / str(place), **way)).store_id for place, way in enumerate(ways)]
    assert len(set(ids)) == len(ways)
    assert merge(config(store=tmp_path / "again", weights=(7.0, 7.0))).store_id == ids[0]
    with pytest.raises(StoreMismatch, match=r"teacher\.fingerprint"):
        merge(config(store=tmp_path / "0", average="probabilities"))


@pytest.mark.parametrize("how", ["logits", "probabilities"])
def test_the_order_of_the_members_decides_nothing(config, members, tmp_path, how):
    there = merge(config(store=tmp_path / "there", average=how, weights=(3.0, 1.0)))
    back = merge(config(store=tmp_path / "back", average=how, weights=(1.0, 3.0), members=members[::-1]))
    assert (back.store_id, back.teacher) == (there.store_id, there.teacher)
    assert _shards(tmp_path / "back") == _shards(tmp_path / "there")
    assert (
        merge(config(store=tmp_path / "there", average=how, weights=(2.0, 6.0), members=members[::-1])).merged_rows == 0
    )


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=8))
def test_shares_add_up_to_one_and_are_their_own_shares(weights):
    shares = shares_of(weights, len(weights))
    assert math.isclose(math.fsum(shares), 1, rel_tol=1e-15)
    assert shares_of(shares, len(weights)) == shares
    assert shares_of(weights[::-1], len(weights)) == shares[::-1]


def test_its_dump_command_merges_it_again(config, members, tmp_path):
    merge(config(weights=(3.0, 1.0), average="probabilities"))
    command = read_manifest(tmp_path / "merged").dump_command(tmp_path / "merged")
    (first, of_first), (second, of_second) = [
        (member.path, member.share) for member in read_manifest(tmp_path / "merged").ensemble.members
    ]
    assert {(first, of_first), (second, of_second)} == {(str(members[0]), 0.75), (str(members[1]), 0.25)}
    weights = f"--weights {of_first},{of_second} --average probabilities"
    assert command.startswith(f"kdcache merge {first} {second} {weights}")
    result = CliRunner().invoke(main, shlex.split(command)[1:])
    assert (result.exit_code, "already there" in result.stdout) == (0, True)


# ---- a student, and whoever looks for a teacher


def test_a_student_learns_from_it_as_from_both_together(config, members, tmp_path):
    """The fold of two stores and the store of their mean give the same losses; only rounding differs."""
    merge(config())

    def run(name, **source):
        config = TrainConfig(
            student="resnet8x0.5", out=tmp_path / name, method="kd", epochs=1, batch_size=64, device="cpu", **source
        )
        return train(config)

    merged = run("merged-run", store=tmp_path / "merged")
    together = run("together", store=members, teachers={"fold": "mean_logits"})
    assert merged["pixels"]["kind"] == "exact"
    assert merged["agreement"] == together["agreement"]
    losses = [
        [line["loss"] for line in _metrics(tmp_path / name) if "loss" in line] for name in ("merged-run", "together")
    ]
    assert len(losses[0]) == len(losses[1]) > 0
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def _metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_nobody_can_be_asked_in_its_name(config, teacher_weights, tmp_path):
    merge(config())
    with pytest.raises(ModelError, match=r"holds ensemble:logits\(.* there is no model to ask\. .*kdcache merge"):
        verify(tmp_path / "merged", device="cpu", checkpoint=teacher_weights)
    live = TrainConfig(
        student="resnet8x0.5", out=tmp_path / "run", store=tmp_path / "merged", method="kd", epochs=1, device="cpu",
        live_teacher=LiveTeacher(),
    )  # fmt: skip
    with pytest.raises(ModelError, match="there is no model to ask"):
        train(live)


def test_without_a_teacher_its_files_and_pixels_are_verified(config, members, tmp_path, monkeypatch):
    merge(config())
    found = verify(tmp_path / "merged", rows=40, device="cpu", deep=True)
    assert found.holds
    assert found.rows > 30
    assert (found.largest_difference, found.largest_excess, found.worst) == (None, None, None)
    assert all(str(member) in found.unasked for member in members)
    original = Cifar.render
    monkeypatch.setattr(Cifar, "render", lambda self, pictures, knobs: original(self, pictures, knobs) ^ 1)
    assert not verify(tmp_path / "merged", rows=40, device="cpu").holds


# ---- damage


def test_what_it_lost_comes_back_from_its_members_byte_for_byte(config, images, tmp_path):
    merge(config(codec="lowrank"))
    whole = {file: file.read_bytes() for file in (tmp_path / "merged").rglob("*") if file.is_file()}
    damaged = [tmp_path / "merged" / name for name in ("labels/c/0", "witness/1.npy", "view_digest/c/1/0")]
    for file in damaged:
        file.write_bytes(file.read_bytes()[:-1] + b"\0\0")
    found = verify(tmp_path / "merged", device="cpu")
    assert len(found.faults) == len(damaged)
    assert found.mends == [f"kdcache repair {tmp_path / 'merged'} redoes just these."]
    result = repair(tmp_path / "merged", data="there are no images")
    assert (len(result.same), result.rows) == (3, 128)
    (tmp_path / "merged" / "codec.safetensors").unlink()
    assert repair(tmp_path / "merged").rows == 1152
    assert {file: file.read_bytes() for file in whole} == whole


def test_other_members_than_its_own_mend_nothing(config, members, dump_config, second_weights, tmp_path, monkeypatch):
    first = Path(shutil.copytree(members[0], tmp_path / "first"))
    merge(config(members=(first, members[1])))
    (tmp_path / "merged" / "logits/dense/c/0/1/0").write_bytes(b"torn")
    damaged = _shards(tmp_path / "merged")

    def refused(kind, words):
        with pytest.raises(kind, match=words):
            repair(tmp_path / "merged")
        assert _shards(tmp_path / "merged") == damaged

    first.rename(tmp_path / "away")
    refused(StoreError, r"is the mean of .* and needs them all\. .*first does not exist")
    dump(dump_config(first, codec="float16"))
    refused(StoreMismatch, r"first was store \w+ of 2 views or more, and is \w+ of 2")
    shutil.rmtree(first)
    original = Cifar.render
    monkeypatch.setattr(Cifar, "render", lambda self, pictures, knobs: original(self, pictures, knobs) ^ 1)
    dump(dump_config(first, codec="float32"))
    monkeypatch.undo()
    refused(StoreMismatch, "the pixels of 512 rows differ")
    shutil.rmtree(first)
    (tmp_path / "away").rename(first)
    assert repair(tmp_path / "merged").rows == 128


# ---- hits, growth, interruption


def test_a_finished_merge_costs_nothing(config, members, tmp_path, monkeypatch):
    first = merge(config())
    monkeypatch.setattr(Reader, "view", None)
    monkeypatch.setattr(Reader, "digests", None)
    again = merge(config())
    assert (again.merged_rows, again.store_id) == (0, first.store_id)


def test_an_interrupted_merge_ends_with_the_same_bytes(config, tmp_path, monkeypatch):
    merge(config(store=tmp_path / "whole"))
    written, original = [], Writer.write

    def stop_after_five(self, shard, *what):
        original(self, shard, *what)
        written.append(shard)
        if len(written) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "write", stop_after_five)
    with pytest.raises(KeyboardInterrupt):
        merge(config())
    monkeypatch.undo()
    assert merge(config()).merged_rows == 1152 - sum(shard.rows for shard in written)
    assert _shards(tmp_path / "merged") == _shards(tmp_path / "whole")


def _shards(store):
    return {file.relative_to(store): file.read_bytes() for file in store.glob("**/c/**/*") if file.is_file()}


def test_it_grows_with_its_members(config, members, dump_config, second_weights, tmp_path):
    grown = [Path(shutil.copytree(path, tmp_path / f"member{place}")) for place, path in enumerate(members)]
    merge(config(members=grown))
    dump(dump_config(grown[0], codec="float32", views=3))
    with pytest.raises(StoreMismatch, match="the number of train views is 2 in the one, 3 in the other"):
        merge(config(members=grown))
    dump(dump_config(grown[1], codec="uint8", checkpoint=second_weights, views=3))
    assert merge(config(members=grown)).merged_rows == 512
    expected = torch.stack([rows(path, view=2) for path in grown]).mean(0)
    torch.testing.assert_close(rows(tmp_path / "merged", view=2), expected)


# ---- what does not belong together


def test_other_views_are_refused(config, members, dump_config, second_weights, tmp_path):
    other = tmp_path / "other"
    dump(dump_config(other, checkpoint=second_weights, seed=1))
    with pytest.raises(StoreMismatch, match="do not hold the same views: the seed is 1"):
        merge(config(members=(members[0], other)))
    assert not (tmp_path / "merged").exists()


def test_other_pixels_are_refused_by_their_digests(config, members, dump_config, second_weights, tmp_path, monkeypatch):
    original = Cifar.render
    monkeypatch.setattr(Cifar, "render", lambda self, pictures, knobs: original(self, pictures, knobs) ^ 1)
    dump(dump_config(tmp_path / "other", checkpoint=second_weights))
    monkeypatch.undo()
    with pytest.raises(StoreMismatch, match="the pixels of 512 rows differ, first sample 0 of train view 0"):
        merge(config(members=(members[0], tmp_path / "other")))
    assert not (tmp_path / "merged").exists()


def test_members_of_two_normalisations_need_a_word(config, members, dump_config, second_weights, tmp_path):
    other = tmp_path / "other"
    spec = {"mean": [0.5], "std": [0.5]}
    dump(dump_config(other, checkpoint=second_weights, normalise=spec))
    with pytest.raises(ConfigError, match=r'by \{"mean":\[0\.5\].*Say with --normalise which'):
        merge(config(members=(members[0], other)))
    merge(config(members=(members[0], other), normalise=spec))
    assert dict(read_manifest(tmp_path / "merged").teacher.normalise) == spec


def test_one_member_of_unproven_alignment_makes_the_mean_unproven(config, members, tmp_path):
    doubted = Path(shutil.copytree(members[1], tmp_path / "doubted"))
    manifest = read_manifest(doubted).model_copy(update={"alignment": "unproven"})
    _rewrite(doubted, manifest)
    merge(config(members=(members[0], doubted)))
    assert read_manifest(tmp_path / "merged").alignment == "unproven"
    run = TrainConfig(
        student="resnet8x0.5", out=tmp_path / "run", store=tmp_path / "merged", method="kd", epochs=1, device="cpu"
    )
    with pytest.warns(UnprovenAlignment):
        train(run)


def _rewrite(path: Path, manifest) -> None:
    """Put another manifest into a store, and its id into every record."""
    before, after = manifest.store_id, _store_ids(manifest)[0]
    (path / "zarr.json").write_bytes(root_file(manifest.model_copy(update={"store_id": after})))
    for record in (path / "done").iterdir():
        record.write_text(record.read_text().replace(before, after))


def test_a_test_part_that_one_lacks_is_left_out(config, members, dump_config, images, second_weights, tmp_path):
    with h5py.File(images) as whole, h5py.File(tmp_path / "train.h5", "w") as file:
        whole.copy("train", file)
        file.attrs["classes"] = whole.attrs["classes"]
    dump(dump_config(tmp_path / "other", checkpoint=second_weights, data=str(tmp_path / "train.h5")))
    merge(config(members=(members[0], tmp_path / "other")))
    assert list(read_manifest(tmp_path / "merged").parts) == ["train"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"weights": (1.0,) * 3}, r"--weights has 3 number\(s\) for 2 stores")],
)
def test_weights_and_members_must_pair_up(config, changes, words):
    with pytest.raises(ConfigError, match=words):
        merge(config(**changes))


def test_no_teacher_counts_twice(config, stores, members, tmp_path):
    """Neither by one store twice, nor by two stores of it, in a merge as in a training."""
    for twins in ((members[0], members[0]), (stores["float32"], stores["float16"]), (*members, stores["float16"])):
        with pytest.raises(ConfigError, match=f"{twins[-1]} is of the same teacher as {stores['float32']} .*--weights"):
            merge(config(members=twins))
        knobs = {"student": "resnet8x0.5", "out": tmp_path / "run", "method": "kd", "epochs": 1, "device": "cpu"}
        with pytest.raises(ConfigError, match=f"of the same teacher as {stores['float32']} "):
            train(TrainConfig(store=twins, **knobs))
    assert not (tmp_path / "merged").exists()
    assert not (tmp_path / "run").exists()
