"""Pictures for every test of views, and torch's own way to their pixels."""

import album as shared
import pytest
import torch

from cache_kd.keyed.philox import words
from cache_kd.views.frame import PURPOSE, Frame, one_size, sizes_of


@pytest.fixture(scope="session")
def make_pictures():
    """A function that makes `count` pictures: smooth ramps with texture, no two alike."""
    return shared.make_pictures


@pytest.fixture(scope="session")
def album():
    """Makes an album of pictures."""
    return shared.Shown


@pytest.fixture
def by_tensors(monkeypatch):
    """A function after which every frame takes torch's way to its pixels, on the CPU too."""

    def view(self, album, seed, samples, view, device):
        pictures = album.images(samples)
        knobs = self.draw(words(seed, PURPOSE, samples, view, self.word_count), sizes_of(pictures))
        pixels = torch.from_numpy(one_size(pictures, self.name))
        return self.render_tensor(pixels.to(device), torch.from_numpy(knobs).to(device))

    return lambda: monkeypatch.setattr(Frame, "view", view)
