"""What reads a whole store holds it meanwhile: nobody removes it, and afterwards anybody may."""

from contextlib import contextmanager

import pytest

from cache_kd import inspection
from cache_kd.errors import StoreBusy
from cache_kd.exchange.export import export_store
from cache_kd.inspection import inspect_store
from cache_kd.store.removal import remove
from cache_kd.verify import verify


@pytest.fixture
def store(dump_config, tmp_path):
    from cache_kd.dump import dump

    dump(dump_config(tmp_path / "store", views=1))
    return tmp_path / "store"


class Removing:
    """Somebody who tries to remove a store while it is read, instead of watching the progress."""

    def __init__(self, store):
        self.store, self.refused = store, 0

    def say(self, message):
        pass

    def tried(self, *_):
        with pytest.raises(StoreBusy, match="a process is reading this store"):
            remove(self.store)
        self.refused += 1

    @contextmanager
    def task(self, title, total, unit):
        yield self.tried


@pytest.mark.parametrize("reads", ["export", "verify", "info"])
def test_a_store_cannot_be_removed_while_it_is_read_and_can_be_afterwards(store, tmp_path, monkeypatch, reads):
    somebody = Removing(store)
    if reads == "export":
        export_store(store, tmp_path / "out.h5", progress=somebody)
    elif reads == "verify":
        assert verify(store, rows=8, device="cpu", progress=somebody).holds
    else:
        measured = inspection.bytes_on_disk
        monkeypatch.setattr(inspection, "bytes_on_disk", lambda path: (somebody.tried(), measured(path))[1])
        inspect_store(store)
    assert somebody.refused
    remove(store)
    assert not store.exists()
