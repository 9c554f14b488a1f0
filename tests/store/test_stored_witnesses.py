"""Witnesses on disk: which views have them, what is kept of any shape, and what a store that grows holds."""

import numpy as np
import pytest

from cache_kd.errors import StoreDamaged, StoreIncomplete, StoreMismatch
from cache_kd.store.reader import Reader
from cache_kd.store.witness import witness_rows, witness_views
from cache_kd.store.writer import Writer


def test_who_is_not_admitted_leaves_the_store_as_it_was(store, describe, files_of):
    before = files_of(store)

    def admit(stored):
        assert stored == Reader.open(store).manifest
        raise StoreMismatch("not here")

    with pytest.raises(StoreMismatch, match="not here"):
        Writer.create_or_resume(store, describe(views=3), admit=admit)
    assert files_of(store) == before
    Writer.create_or_resume(store, describe(views=2), admit=admit).close()  # finished: nothing would be added


@pytest.mark.parametrize(("samples", "views", "rows"), [(64, 1, 32), (64, 3, 36), (20, 2, 22), (1, 2, 2), (64, 99, 62)])
def test_what_is_kept_is_a_matter_of_counts(describe, samples, views, rows):
    manifest = describe(train=samples, views=views)
    assert sum(witness_rows(manifest, view) for view in witness_views(manifest)) == rows


def test_views_of_other_shapes_come_back_as_they_were(tmp_path, describe):
    draw = np.random.default_rng(0)
    rows = [draw.integers(0, 256, (32, 9, 9, 3), dtype=np.uint8), draw.integers(0, 256, (2, 4, 5, 1), dtype=np.uint8)]
    with Writer.create_or_resume(tmp_path / "store", describe()) as writer:
        assert writer.pending_witnesses() == [0, 1]
        writer.write_witnesses(0, rows[0][:, ::-1])
        assert writer.pending_witnesses() == [1]
        writer.write_witnesses(1, rows[1])
        writer.write_witnesses(1, rows[1] ^ 255)  # recorded already: nothing happens
    reader = Reader.open(tmp_path / "store", partial=True)
    assert reader.witnessed_views() == [0, 1]
    assert np.array_equal(reader.witnesses(0), rows[0][:, ::-1])
    assert np.array_equal(reader.witnesses(1), rows[1])


def test_a_grown_store_holds_what_it_would_have_held_at_once(tmp_path, describe, write, files_of):
    write(tmp_path / "grown", describe(train=20, test=None, views=4))
    write(tmp_path / "grown", describe(train=20, test=None, views=18))
    write(tmp_path / "whole", describe(train=20, test=None, views=18))
    grown, whole = (
        {name: content for name, content in files_of(tmp_path / store).items() if "witness" in name}
        for store in ("grown", "whole")
    )
    assert grown == whole
    assert len(grown) == 2 * 16  # a file and a record each


def test_a_store_without_its_witnesses_is_unfinished(store):
    (store / "done/witness.1.json").unlink()
    with pytest.raises(StoreIncomplete, match="lacks witnesses of view 1"):
        Reader.open(store)


def test_a_changed_witness_is_named(store):
    file = store / "witness/0.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    reader = Reader.open(store)
    with pytest.raises(StoreDamaged, match=r"witnesses of view 0: .*witness/0\.npy has other bytes"):
        reader.witnesses(0)
    assert any("witness/0.npy has other bytes" in fault for fault in reader.check(deep=True))


def test_a_witness_of_a_view_that_has_none_is_foreign(store):
    (store / "witness/7.npy").write_bytes(b"")
    assert Reader.open(store).check() == [f"{store / 'witness/7.npy'} does not belong to this store"]
