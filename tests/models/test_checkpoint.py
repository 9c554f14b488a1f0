import argparse
import pickle
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cache_kd.errors import ModelError, SeveralWeights
from cache_kd.models.checkpoint import METADATA_KEY, fingerprint, load_weights, read_about, save_weights
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


def test_words_nested_too_deep_beside_the_weights_are_refused(tmp_path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "deep.safetensors", {METADATA_KEY: "[" * 100_000})
    with pytest.raises(ModelError, match="cannot be read as safetensors: it is nested deeper than Python reads"):
        read_about(tmp_path / "deep.safetensors")


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


@pytest.mark.parametrize(
    "before", ["_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "model._orig_mod.", "module.net.body."]
)
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_what_compiling_and_wrapping_put_before_the_names_is_taken_off(tmp_path, before, name):
    weights = {f"{before}{name}": tensor for name, tensor in model(0).state_dict().items()}
    (save_file if name.endswith("safetensors") else torch.save)(weights, tmp_path / name)
    other = model(1)
    load_weights(other, tmp_path / name)
    assert fingerprint(other) == fingerprint(model(0))


def test_a_compiled_model_and_an_averaged_one_load_as_torch_saves_them(tmp_path):
    saved = {
        "compiled.pth": torch.compile(model(0)).state_dict(),
        "averaged.pth": {"model_ema": torch.optim.swa_utils.AveragedModel(model(0)).state_dict(), "epoch": 3},
        "deepspeed.pth": {"module": model(0).state_dict(), "optimizer": {"lr": 0.1}},
    }
    for name, content in saved.items():
        torch.save(content, tmp_path / name)
        other = model(1)
        load_weights(other, tmp_path / name)
        assert fingerprint(other) == fingerprint(model(0)), name


def test_a_model_that_has_a_part_named_module_keeps_that_name(tmp_path):
    def own(seed):
        torch.manual_seed(seed)
        return torch.nn.ModuleDict({"module": torch.nn.BatchNorm1d(2), "head": torch.nn.Linear(2, 2)})

    for before in ("", "module."):
        torch.save({f"{before}{name}": each for name, each in own(0).state_dict().items()}, tmp_path / "own.pth")
        other = own(1)
        load_weights(other, tmp_path / "own.pth")
        assert fingerprint(other) == fingerprint(own(0))


def test_of_two_models_behind_two_prefixes_none_is_chosen(tmp_path):
    weights = {
        f"{part}.{name}": each for part in ("student", "teacher") for name, each in model(0).state_dict().items()
    }
    torch.save({"state_dict": weights}, tmp_path / "both.pth")
    with pytest.raises(ModelError, match=r"stand behind 'student\.' and behind 'teacher\.': save them alone"):
        load_weights(model(1), tmp_path / "both.pth")


def test_one_prefix_that_other_names_do_not_have_is_named(tmp_path):
    weights = {f"model.{name}": each for name, each in model(0).state_dict().items()}
    torch.save({"state_dict": {**weights, "criterion.centres": torch.ones(3)}}, tmp_path / "light.ckpt")
    with pytest.raises(
        ModelError, match=r"stand behind 'model\.': save them alone, as \{name\.removeprefix\('model\.'\)"
    ):
        load_weights(model(1), tmp_path / "light.ckpt")


def test_which_of_several_sets_of_weights_is_taken_is_said(tmp_path):
    averaged = {f"module.{name}": tensor for name, tensor in model(1).state_dict().items()}
    statistics = {"mean": torch.zeros(3), "std": torch.ones(3)}
    torch.save({"state_dict_ema": averaged, "model": model(0).state_dict(), "data": statistics}, tmp_path / "two.pth")
    other = model(2)
    with pytest.warns(SeveralWeights, match=r"'model' is taken, 'state_dict_ema' left\."):
        load_weights(other, tmp_path / "two.pth")
    assert fingerprint(other) == fingerprint(model(0))


def test_of_several_sets_of_weights_under_unusual_keys_none_is_chosen(tmp_path):
    torch.save({"ema": model(0).state_dict(), "raw": model(1).state_dict()}, tmp_path / "two.pth")
    with pytest.raises(ModelError, match=r"several sets of tensors: ema, raw\. .*weights_only=True\)\['ema'\]"):
        load_weights(model(2), tmp_path / "two.pth")


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


@pytest.mark.parametrize("zipped", [True, False])
def test_the_class_that_stands_beside_the_weights_is_named_with_what_to_do(tmp_path, zipped):
    path = tmp_path / "args.pth"
    content = {"model": model(0).state_dict(), "opt": argparse.Namespace(lr=0.1)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"it has argparse\.Namespace, .* If you wrote it yourself, ") as refused:
        load_weights(model(1), path)
    assert str(refused.value).isprintable()
    (line,) = re.findall(r"torch\.save\(.*\)(?=\. Otherwise ask)", str(refused.value))
    exec(line.replace("weights.pth", str(tmp_path / "weights.pth")), {"torch": torch})
    other = model(1)
    load_weights(other, tmp_path / "weights.pth")
    assert fingerprint(other) == fingerprint(model(0))


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
