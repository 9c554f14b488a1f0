"""The largest logits exact, all others as 4 or 6 bits without gaps: what small stores of many classes need."""

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field

from cache_kd.store.bitpack import pack, packed_width, unpack
from cache_kd.store.codec import Answers, Bounds, Codec, CodecArray, EncodedTensors, class_dtype, refuse_unfinite
from cache_kd.store.quantise import Quantiser, refuse_beyond_range
from cache_kd.types import Extremes, Logits, TopClasses, TopLogits


class Packed(Codec):
    """A row's largest logits as float32 with their classes; the rest between its own smallest and largest.

    Attributes:
        bits: of the rest, per logit.
        exact: how many of the largest logits are exact, >= 1; all of them where a row has no more.
        top_step: the step at the top of the rest, as a share of the even one, 0 < top_step <= 1. At one half, KL at
            T = 1 to 4 is 0.4 to 0.9 of that of even steps.
    """

    name: Literal["packed"] = "packed"
    bits: Literal[4, 6] = 6
    exact: Annotated[int, Field(ge=1)] = 8
    top_step: Annotated[float, Field(gt=0, le=1)] = 0.5

    def arrays(self, classes: int) -> tuple[CodecArray, ...]:
        """The packed codes, the extremes of the rest, and the exact logits with their classes."""
        exact = min(self.exact, classes)
        return (
            CodecArray("codes", packed_width(classes, self.bits), "uint8"),
            CodecArray("extremes", 2, "float32"),
            CodecArray("top_logits", exact, "float32"),
            CodecArray("top_classes", exact, class_dtype(classes)),
        )

    def encode_tensors(self, answers: Answers) -> EncodedTensors:
        """The largest logits as they are, the nearest level of each other one."""
        logits = answers.logits
        refuse_unfinite(logits)
        refuse_beyond_range(logits)
        split = self._split(logits)
        # an exact logit has the code of the rest's largest, and no one looks at it
        codes = self._quantiser.codes(logits.clamp(max=split.high), split.low, split.high)
        return {
            "codes": pack(codes, self.bits),
            "extremes": torch.cat([split.low, split.high], dim=1),
            "top_logits": split.top,
            "top_classes": split.classes.to(getattr(torch, class_dtype(logits.shape[1]))),
        }

    def decode_tensors(self, arrays: EncodedTensors, classes: int) -> Logits:
        """The levels, and the exact logits in their places."""
        low, high = arrays["extremes"][:, :1], arrays["extremes"][:, 1:]
        codes = unpack(arrays["codes"], self.bits, classes)
        logits = self._quantiser.logits(codes, low, high)
        return logits.scatter_(1, arrays["top_classes"].long(), arrays["top_logits"])

    def error_bound(self, answers: Answers) -> Bounds:
        """Half of the coarsest step of the rest."""
        split = self._split(answers.logits)
        return self._quantiser.error_bound(split.low, split.high).cpu().numpy()

    @property
    def _quantiser(self) -> Quantiser:
        return Quantiser(2**self.bits - 1, self.top_step)

    def _split(self, logits: Logits) -> "_Split":
        classes = logits.shape[1]
        exact = min(self.exact, classes)
        top = logits.topk(min(exact + 1, classes), dim=1)
        return _Split(
            low=logits.amin(dim=1, keepdim=True),
            high=top.values[:, -1:],  # of the rest; where there is none, the smallest of all
            top=top.values[:, :exact],
            classes=top.indices[:, :exact],
        )


class _Split(NamedTuple):
    """The extremes of a row's rest, and its largest logits with their classes."""

    low: Extremes
    high: Extremes
    top: TopLogits
    classes: TopClasses
