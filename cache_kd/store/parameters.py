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
    codec, piece = make_codec(manifest.codec), parameter_piece(manifest)
    if piece is None:
        return codec
    if fault := find_fault(store, manifest.store_id, piece, deep=True):
        raise StoreDamaged(
            f"{piece.title}: {fault}. Without them no row can be read; `kdcache repair {store}` asks the teacher again."
        )
    return codec.equipped(safetensors.torch.load((store / piece.files[0]).read_bytes()))
