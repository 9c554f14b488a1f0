"""What mixing did to a batch, and what it makes of the labels."""

from dataclasses import dataclass

import torch

from cache_kd.types import Labels, MixedLabels, Samples, Shares


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """Which row was mixed into each view, and how much of the view is still its own.

    Attributes:
        partners: row numbers in the album.
        own: the share of the row's own picture; the rest is its partner's.
    """

    partners: Samples
    own: Shares

    def labels(self, own: Labels, partners: Labels, classes: int) -> MixedLabels:
        """The probability of each class, float32: shared between a row's label and its partner's.

        Args:
            own: class of each row.
            partners: class of each row's partner.
            classes: how many there are.
        """
        share = torch.from_numpy(self.own).to(own.device, torch.float32)[:, None]
        mixed = torch.zeros(len(own), classes, device=own.device)
        mixed.scatter_add_(1, own[:, None], share)
        return mixed.scatter_add_(1, partners[:, None], 1 - share)
