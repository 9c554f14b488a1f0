"""A teacher that is a formula, manifests of small stores, and the ways to write one and to read all of it."""

import os

import numpy as np
import pytest
import torch

from cache_kd.store.codec import Answers, LastLayer, make_codec
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import new_manifest
from cache_kd.store.reader import Reader
from cache_kd.store.witness import witness_rows, witness_views
from cache_kd.store.writer import Writer


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    """A test that kills processes needs no fsync, only one that pulls the plug would."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="session")
def describe():
    """A function that makes a manifest; its arguments change what they name."""

    def make(*, codec="float32", train=64, test=32, teacher=None, **changes):
        samples = {"train": train, "test": test} if test else {"train": train}
        knobs = {
            "samples": samples,
            "fingerprints": {part: f"images of {part}" for part in samples},
            "views": 2,
            "classes": 10,
            "class_names": [f"class {number}" for number in range(10)],
            "channels": 1,
            "source_spec": {"data": "images.h5", "root": None},
            "recipe": {"name": "cifar", "pad": 4},
            "seed": 0,
            "teacher": {
                "name": "resnet8",
                "fingerprint": "4f1c",
                "checkpoint": "/weights.safetensors",
                "normalise": {"mean": [0.286], "std": [0.353]},
                "precision": "float32",
                **(teacher or {}),
            },
            "environment": {"torch": "2"},
            **changes,
        }
        if not isinstance(codec, dict):
            codec = make_codec(codec).resolved(classes=knobs["classes"], features=knobs["classes"]).to_json()
        return new_manifest(**{"codec": codec, **knobs})

    return make


@pytest.fixture(scope="session")
def teach():
    """A function of a shard and its samples: logits float32 [rows, classes] and digests of a teacher that is a formula.

    Without samples they are the numbers of the rows.
    """

    def rows(shard: Shard, classes: int = 10, samples=None):
        sample = (np.arange(shard.start, shard.stop) if samples is None else samples)[:, None]
        angle = 1 + 0.37 * sample + 1.7 * np.arange(classes) + 11 * shard.view + 5 * (shard.part == "test")
        digests = (sample[:, 0] * 2654435761 + shard.view * 97 + (shard.part == "test")) % 2**32
        return torch.from_numpy((5 * np.sin(angle)).astype(np.float32)), digests.astype(np.uint32)

    return rows


def last_layer_of(logits):
    """A last layer that gives its features back as logits."""
    classes = logits.shape[1]
    return LastLayer(features=logits, weight=torch.eye(classes), bias=torch.zeros(classes))


@pytest.fixture(scope="session")
def labels_of():
    """A function of a manifest and a part: its labels."""
    return lambda manifest, part: np.arange(manifest.parts[part].samples) % manifest.classes


@pytest.fixture(scope="session")
def witnesses_of():
    """A function of a manifest and a view: the witnesses, 2x3x1 bytes each."""

    def rows(manifest, view):
        count = witness_rows(manifest, view)
        return (np.arange(count * 6) * 37 + view).astype(np.uint8).reshape(count, 2, 3, 1)

    return rows


@pytest.fixture(scope="session")
def write(teach, labels_of, witnesses_of):
    """A function that writes the store of a manifest at a path, or finishes it; gives back how many shards it took."""

    def whole(path, manifest, at_most=None):
        with Writer.create_or_resume(path, manifest) as writer:
            for view in writer.pending_witnesses():
                writer.write_witnesses(view, witnesses_of(manifest, view))
            for part in manifest.parts:
                writer.write_labels(part, labels_of(manifest, part))
            pending = writer.pending()[:at_most]
            for shard in pending:
                logits, digests = teach(shard, manifest.classes, writer.manifest.samples_of(shard))
                writer.write(shard, logits, digests, last_layer_of(logits))
        return len(pending)

    return whole


@pytest.fixture(scope="session")
def assert_right(teach, labels_of, witnesses_of):
    """A function that reads every number of a store and compares it with what the teacher gave."""

    def compare(path):
        reader = Reader.open(path)
        manifest = reader.manifest
        for view in witness_views(manifest):
            assert np.array_equal(reader.witnesses(view), witnesses_of(manifest, view))
        for name, part in manifest.parts.items():
            assert np.array_equal(reader.labels(name), labels_of(manifest, name))
            for view in range(part.views):
                whole = Shard(part=name, view=view, index=0, start=0, stop=part.samples)
                logits, digests = teach(whole, manifest.classes)
                given = Answers(logits, torch.from_numpy(reader.labels(name)), last_layer_of(logits))
                stored = reader.view(name, view).rows(np.arange(part.samples))
                assert stored.dtype == np.float32
                assert np.array_equal(stored, reader.codec.decode(reader.codec.encode(given), manifest.classes))
                assert np.array_equal(reader.digests(name, view), digests)

    return compare


@pytest.fixture(scope="session")
def files_of():
    """A function that gives every file of a store, but for the lock: place -> bytes."""

    def read(path):
        files = (file for file in path.rglob("*") if file.is_file() and file.name != "writing.lock")
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}

    return read


@pytest.fixture
def store(tmp_path, describe, write):
    """A finished float32 store of two views that a test may damage."""
    path = tmp_path / "store"
    write(path, describe())
    return path
