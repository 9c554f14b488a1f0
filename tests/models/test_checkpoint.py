import pickle

import numpy as np
import pytest
import torch

from cache_kd.errors import ModelError
from cache_kd.models.checkpoint import fingerprint, load_weights, read_about, save_weights
from cache_kd.models.zoo import build


def model(seed=0, name="resnet8x0.5", classes=10):
    torch.manual_seed(seed)
    return build(name, classes=classes, channels=1)


def test_weights_and_what_they_say_come_back(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(model(0), path, {"classes": 10})
    other = model(1)
    assert fingerprint(other) != fingerprint(model(0))
    load_weights(other, path)
    assert fingerprint(other) == fingerprint(model(0))
    assert read_about(path) == {"classes": 10}


def test_one_changed_weight_changes_the_fingerprint():
    changed = model(0)
    with torch.no_grad():
        changed.fc.bias[3] += 1e-6
    assert fingerprint(changed) != fingerprint(model(0))


def test_a_changed_running_mean_changes_the_fingerprint_and_a_counter_does_not():
    counted, moved = model(0), model(0)
    counted.bn1.num_batches_tracked += 5
    moved.bn1.running_mean += 0.1
    assert fingerprint(counted) == fingerprint(model(0))
    assert fingerprint(moved) != fingerprint(model(0))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: {"model": weights, "epoch": 3},
        lambda weights: {"state_dict": weights},
        lambda weights: {"net": weights, "acc": 70.1},
    ],
)
def test_torch_files_load_with_their_usual_wrappings(tmp_path, wrap):
    weights = {f"module.{name}": tensor for name, tensor in model(0).state_dict().items()}
    torch.save(wrap(weights), tmp_path / "weights.pth")
    other = model(1)
    load_weights(other, tmp_path / "weights.pth")
    assert fingerprint(other) == fingerprint(model(0))


def test_numbers_of_numpy_beside_the_weights_are_no_obstacle(tmp_path):
    best = {"best_acc": np.float64(70.1), "seen": np.int64(3), "loss": np.float32(0.5)}
    torch.save({"model": model(0).state_dict(), **best}, tmp_path / "weights.pth")
    other = model(1)
    load_weights(other, tmp_path / "weights.pth")
    assert fingerprint(other) == fingerprint(model(0))


class Trap:
    """Unpickling this would run code."""

    ran = False

    def __reduce__(self):
        return (setattr, (Trap, "ran", True))


def test_a_pickle_is_refused_and_does_not_run(tmp_path):
    with (tmp_path / "evil.pth").open("wb") as file:
        pickle.dump(Trap(), file)
    torch.save({"model": Trap()}, tmp_path / "evil2.pth")
    for name in ("evil.pth", "evil2.pth"):
        with pytest.raises(ModelError, match="does not load as plain tensors"):
            load_weights(model(), tmp_path / name)
    assert not Trap.ran


def test_what_does_not_fit_is_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(model(0), path, {})
    with pytest.raises(ModelError, match=r"wrong shape: fc\.bias \[10\] instead of \[7\]"):
        load_weights(model(classes=7), path)
    with pytest.raises(ModelError, match=r"missing: .* and \d+ more; unexpected: .* and \d+ more"):
        load_weights(model(name="wrn_16_2"), path)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_a_torn_file_is_one_sentence(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x10\x00\x00\x00")
    with pytest.raises(ModelError, match=name):
        load_weights(model(), path)
    with pytest.raises(ModelError, match="no checkpoint at"):
        load_weights(model(), tmp_path / "missing.pth")


@pytest.mark.parametrize(
    "junk",
    [
        b"hello",
        b"aaaaaaaaaa",
        b"",
        b"# notes\nlr = 0.1\n",
        b"name,accuracy\n1,70.1\n",
        b"Gain",
        b"\x89PNG\r\n\x1a\n",
        b"PK\x03\x04 a torn zip",
        b"U\xff\xff",
    ],
)
def test_what_is_no_torch_file_is_one_sentence(tmp_path, junk):
    path = tmp_path / "notes.txt"
    path.write_bytes(junk)
    with pytest.raises(ModelError, match=r"notes\.txt does not load as plain tensors \("):
        load_weights(model(), path)


def test_no_byte_of_a_torch_file_can_be_so_damaged_that_the_sentence_is_missing(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"model": {"weight": torch.ones(3)}}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        with pytest.raises(ModelError, match=r"weights\.pth"):
            load_weights(model(), path)


@pytest.mark.parametrize(
    "odd", [torch.Tensor.to_sparse, lambda bias: bias.to(torch.complex64), lambda bias: bias.to("meta")]
)
def test_numbers_that_no_weight_can_be_copied_from_are_named(tmp_path, odd):
    weights = model().state_dict()
    torch.save(weights | {"fc.bias": odd(weights["fc.bias"])}, tmp_path / "odd.pth")
    with pytest.raises(ModelError, match=r"without values: fc\.bias\. Name the model"):
        load_weights(model(), tmp_path / "odd.pth")


def test_a_file_that_wraps_itself_comes_to_an_end(tmp_path):
    content = {}
    content["model"] = content
    torch.save(content, tmp_path / "itself.pth")
    with pytest.raises(ModelError, match="holds no state dict"):
        load_weights(model(), tmp_path / "itself.pth")


def test_tensors_elsewhere_are_not_a_state_dict(tmp_path):
    torch.save({"epoch": 3, "weights": {}}, tmp_path / "odd.pth")
    with pytest.raises(ModelError, match="holds no state dict"):
        load_weights(model(), tmp_path / "odd.pth")
