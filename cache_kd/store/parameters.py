"""The parameters of a codec that is fitted to its teacher, as one file of a store."""

from pathlib import Path

import safetensors.torch

from cache_kd.errors import StoreDamaged
from cache_kd.store.codec import Codec, Parameters, make_codec
from cache_kd.store.manifest import Manifest
from cache_kd.store.record import find_fault, parameter_piece


def encode_parameters(parameters: Parameters) -> bytes:
    """The content of the file."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in parameters.items()}
    return safetensors.torch.save(tensors)


def equipped_codec(store: Path, manifest: Manifest) -> Codec:
    """The codec of a store, with the parameters that were written beside its rows.

    Raises:
        StoreDamaged: they are not the ones that were written.
    """
    codec, content = make_codec(manifest.codec), read_parameters(store, manifest)
    return codec if content is None else codec.equipped(safetensors.torch.load(content))


def read_parameters(store: Path, manifest: Manifest) -> bytes | None:
    """The content of the file; None for a codec that has no parameters.

    Raises:
        StoreDamaged: it is not what was written.
    """
    piece = parameter_piece(manifest)
    if piece is None:
        return None
    if fault := find_fault(store, manifest.store_id, piece, deep=True):
        raise StoreDamaged(
            f"{piece.title}: {fault}. Without them no row can be read; `kdcache repair {store}` asks the teacher again."
        )
    return (store / piece.files[0]).read_bytes()
