"""What one codec costs one teacher, measured on answers whose exact logits are at hand."""

from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np
import torch

from cache_kd.config import Config
from cache_kd.distill import Method
from cache_kd.exchange.export import GZIP_LEVEL
from cache_kd.faithfulness import gradient_cosine
from cache_kd.planning.candidates import as_option, label
from cache_kd.planning.pilot import Pilot
from cache_kd.planning.store_size import StoreSize, store_size
from cache_kd.store.codec import Codec, Encoded
from cache_kd.store.fidelity import Fidelity, measure_fidelity
from cache_kd.store.parameters import encode_parameters

DIGEST = 4  # bytes per view; noise, so that nothing makes it smaller


class Price(Config):
    """One row of the table.

    Attributes:
        codec: its name and what of it is not the default.
        option: what `--codec` takes.
        size: of the whole store, as it is written: uncompressed, with its manifest, metadata and records.
        gzip_per_view: bytes of a view in a file that `kdcache export` writes with gzip.
        fidelity: of the measuring half of the pilot.
        cosines: of each method, between its gradients from stored and from exact logits; 1 where nothing is lost.
    """

    codec: str
    option: str
    size: StoreSize
    gzip_per_view: float
    fidelity: Fidelity
    cosines: dict[str, float]

    @property
    def worst_cosine(self) -> float:
        """Of the method that loses most; 1 where none was asked about."""
        return min(self.cosines.values(), default=1.0)


def price(
    codec: Codec,
    pilot: Pilot,
    methods: Mapping[str, Method],
    *,
    samples: Mapping[str, int],
    views: int,
    temperatures: Iterable[int],
    words: Mapping[str, Any] | None = None,
) -> Price:
    """Encode and decode the measuring half of a pilot, as a store would; a fitted codec is fitted to the other half.

    Args:
        codec: any.
        pilot: of the teacher.
        methods: by the names that their cosines are listed under.
        samples: of each part of the store that is planned.
        views: of its train part.
        temperatures: of the divergences.
        words: see `store_size`.

    Raises:
        KdCacheError: the codec cannot keep this teacher's answers; says why.
    """
    exact = pilot.measuring.logits
    classes = exact.shape[1]
    ready = codec.resolved(classes=classes, features=pilot.features)
    parameters = ready.fit(pilot.fitting) if ready.fitted else {}
    ready = ready.equipped(parameters)
    encoded = ready.encode(pilot.measuring)
    stored = torch.from_numpy(ready.decode(encoded, classes))
    assert pilot.measuring.labels is not None
    return Price(
        codec=label(codec),
        option=as_option(codec),
        size=store_size(
            ready,
            samples=samples,
            views=views,
            classes=classes,
            view_bytes=pilot.view_bytes,
            parameter_bytes=len(encode_parameters(parameters)) if parameters else 0,
            words=words,
        ),
        gzip_per_view=gzip_bytes(encoded) / len(exact) + DIGEST,
        fidelity=measure_fidelity(exact, stored, temperatures),
        # float32 would round a cosine of 1 - 1e-8 to 1
        cosines={
            name: gradient_cosine(method, exact.double(), stored.double(), pilot.measuring.labels)
            for name, method in methods.items()
        },
    )


def gzip_bytes(encoded: Encoded) -> int:
    """The bytes of encoded rows as an export with gzip stores them, in one chunk; written to memory only."""
    with h5py.File("measured.h5", "w", driver="core", backing_store=False) as file:
        for name, rows in encoded.items():
            file.create_dataset(
                name,
                data=np.ascontiguousarray(rows),
                chunks=rows.shape,
                compression="gzip",
                compression_opts=GZIP_LEVEL,
                shuffle=True,
            )
        return sum(file[name].id.get_storage_size() for name in encoded)
