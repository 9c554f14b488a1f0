import shutil

import h5py
import pytest
import torch

from cache_kd.errors import ModelError, StoreMismatch
from cache_kd.store.reader import Reader
from cache_kd.store.writer import Writer
from cache_kd.verify import verify


@pytest.mark.parametrize("codec", ["float32", "float16"])
def test_a_good_store_holds(stores, codec):
    result = verify(stores[codec], rows=64, device="cpu", deep=True)
    assert result.holds
    assert result.rows >= 60  # 64 draws, of which a few may fall on the same row
    assert (result.largest_difference > 1e-5) == (codec == "float16")


def test_rows_of_another_teacher_do_not_hold(stores, tmp_path):
    """A store whose files are all in order, and whose logits are 0.05 off: only the teacher can tell."""
    honest = Reader.open(stores["float16"])
    with Writer.create_or_resume(tmp_path / "forged", honest.manifest) as writer:
        for view in writer.pending_witnesses():
            writer.write_witnesses(view, honest.witnesses(view))
        for part in honest.manifest.parts:
            writer.write_labels(part, honest.labels(part))
        for shard in writer.pending():
            samples = honest.manifest.samples_of(shard)
            logits = torch.from_numpy(honest.view(shard.part, shard.view).rows(samples)) + 0.05
            writer.write(shard, logits, honest.digests(shard.part, shard.view)[samples])
    result = verify(tmp_path / "forged", rows=32, device="cpu", deep=True)
    assert not result.holds
    assert result.largest_excess > 0.01
    assert result.pixels_equal
    assert not result.faults


def test_other_images_are_refused(own_store, images, tmp_path):
    other = shutil.copy(images, tmp_path / "other.h5")
    with h5py.File(other, "r+") as file:
        file["train/images"][3, 5, 5] ^= 1
    with pytest.raises(StoreMismatch, match="Images or labels were changed"):
        verify(own_store, device="cpu", data=str(other))


def test_missing_weights_are_named(own_store, tmp_path):
    with pytest.raises(ModelError, match="no checkpoint at"):
        verify(own_store, device="cpu", checkpoint=tmp_path / "gone.safetensors")
