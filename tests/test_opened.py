"""A store in somebody's own loop."""

import pytest
import torch

from cache_kd import make_method, open_store, training_loss
from cache_kd.errors import ConfigError


def test_the_loader_gives_every_sample_once_and_the_next_view_each_epoch(stores):
    store = open_store(stores["float32"])
    for epoch in (0, 1, 2):
        batches = list(store.loader(epoch, batch_size=100))
        assert [len(labels) for _, labels, _ in batches] == [100] * 5 + [12]
        logits = torch.cat([teacher for _, _, teacher in batches])
        stored = torch.from_numpy(store.reader.view("train", epoch % 2).rows(torch.arange(512).numpy()))
        assert torch.equal(logits.sort(0).values, stored.sort(0).values)


def test_two_views_of_each_sample_come_one_after_the_other(stores):
    store = open_store(stores["float32"])
    images, labels, teacher = next(iter(store.loader(0, batch_size=32, views=2)))
    assert images.shape[0] == labels.shape[0] == teacher.shape[0] == 64
    assert torch.equal(labels[:32], labels[32:])
    assert not torch.equal(images[:32], images[32:])
    losses = training_loss(make_method("mlld"), torch.zeros(64, 10), teacher, labels)
    assert losses.shape == (64,)


def test_more_views_than_there_are_is_refused(stores):
    with pytest.raises(ConfigError, match=r"has 2 view\(s\) of each sample; 3 were asked for .* --views 3"):
        open_store(stores["float32"]).loader(0, views=3)


def test_a_store_too_large_for_the_memory_is_read_in_windows_and_goes_on_in_the_middle(stores, monkeypatch):
    store = open_store(stores["float32"])
    small = {"batch_size": 64, "memory_gb": 1.6e-5}  # three windows of four chunks; the view takes 20,480 bytes
    with pytest.raises(ConfigError, match=r"memory_gb to at least 2\.1e-05,"):
        store.loader(0, **small)
    monkeypatch.setattr("cache_kd.order.LEAST_WINDOW", 2)
    whole = [teacher for _, _, teacher in store.loader(0, **small)]
    assert not store._teachers[16_000]._kept
    in_windows = [teacher for _, _, teacher in store.loader(0, batch_size=64, window=4)]
    assert all(map(torch.equal, whole, in_windows))
    rest = [teacher for _, _, teacher in store.loader(0, first_step=5, **small)]
    assert len(rest) == 3
    assert all(map(torch.equal, whole[5:], rest))


def test_batches_are_the_same_whichever_way_logits_are_read(stores):
    store = open_store(stores["float16"])
    order = store.order(1, 0, batch_size=50, window=3)
    stream = store.stream()
    whole = stream.batches(order.batches(), (0, 1))
    windowed = stream.batches(order.batches(), (0, 1), order.windows)
    for one, other in zip(whole, windowed, strict=True):
        assert (one.samples == other.samples).all()
        assert torch.equal(one.teachers[0].logits(), other.teachers[0].logits())
        assert torch.equal(one.pixels[0], other.pixels[0])
