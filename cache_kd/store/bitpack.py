"""Codes of a few bits as bytes without gaps, and back."""

import math

import torch

from cache_kd.types import Codes, PackedCodes


def pack(codes: Codes, bits: int) -> PackedCodes:
    """Codes of 1 to 8 bits, uint8 [rows, `packed_width`].

    A row is cut into as many equal runs as there are codes in a group that fills whole bytes; the group of column j
    is made of the j-th code of every run. Neighbours stay neighbours, so that all operations run along memory.

    >>> pack(torch.tensor([[1, 2, 3, 4]], dtype=torch.uint8), bits=4)
    tensor([[49, 66]], dtype=torch.uint8)
    """
    runs, planes = _group(bits)
    rows, classes = codes.shape
    run = torch.nn.functional.pad(codes, (0, -classes % runs)).view(rows, runs, -1)
    packed = run.new_zeros(rows, planes, run.shape[2])
    for number in range(runs):
        plane, offset = divmod(number * bits, 8)
        packed[:, plane] |= run[:, number] << offset
        if offset + bits > 8:
            packed[:, plane + 1] |= run[:, number] >> 8 - offset
    return packed.flatten(1)


def unpack(packed: PackedCodes, bits: int, classes: int) -> Codes:
    """What `pack` was given.

    >>> unpack(torch.tensor([[49, 66]], dtype=torch.uint8), bits=4, classes=4)
    tensor([[1, 2, 3, 4]], dtype=torch.uint8)
    """
    runs, planes = _group(bits)
    bytes_of = packed.view(len(packed), planes, -1)
    run = bytes_of.new_empty(len(packed), runs, bytes_of.shape[2])
    for number in range(runs):
        plane, offset = divmod(number * bits, 8)
        code = bytes_of[:, plane] >> offset
        if offset + bits > 8:
            code |= bytes_of[:, plane + 1] << 8 - offset
        run[:, number] = code & 2**bits - 1
    return run.flatten(1)[:, :classes]


def packed_width(classes: int, bits: int) -> int:
    """Bytes that the codes of one row take."""
    runs, planes = _group(bits)
    return -(-classes // runs) * planes


def _group(bits: int) -> tuple[int, int]:
    """The least number of codes that fill whole bytes, and how many bytes."""
    shared = math.gcd(bits, 8)
    return 8 // shared, bits // shared
