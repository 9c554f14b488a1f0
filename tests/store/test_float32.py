import torch

from cache_kd.store.codec import Answers, make_codec


def test_float32_keeps_every_bit():
    logits = torch.tensor([[-0.0, 1e-45, 3.4e38]])
    encoded = make_codec("float32").encode(Answers(logits))
    assert encoded["dense"].tobytes() == logits.numpy().tobytes()
