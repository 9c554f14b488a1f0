"""What papers report for the pairs of the part `published`: top-1 on the CIFAR-100 test images, in percent."""

from dataclasses import dataclass

PAPERS = {
    "LSKD": "Sun et al., Logit Standardization in Knowledge Distillation, CVPR 2024; means of 4 runs",
    "RLD": "Sun et al., Knowledge Distillation with Refined Logits, ICCV 2025; means of 3 runs",
}
SAME_FAMILY = "LSKD, Table 2"
OTHER_FAMILY = "LSKD, Table 1"
# the paper itself was not at hand: somebody noted these numbers down from it
REFINED = "RLD, the CIFAR-100 table of pairs of one family (second-hand)"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A number of one of the `PAPERS`: each run at its best epoch on the test images."""

    accuracy: float
    source: str


# with the teacher resnet32x4; student and method as kdcache calls them
PUBLISHED = {
    ("resnet8x4", "ce"): Published(accuracy=72.50, source=SAME_FAMILY),
    ("resnet8x4", "kd"): Published(accuracy=73.33, source=SAME_FAMILY),
    ("resnet8x4", "dkd"): Published(accuracy=76.32, source=SAME_FAMILY),
    ("resnet8x4", "lskd"): Published(accuracy=76.62, source=SAME_FAMILY),
    ("resnet8x4", "la"): Published(accuracy=73.46, source=REFINED),
    ("resnet8x4", "rld"): Published(accuracy=76.64, source=REFINED),
    ("ShuffleV2", "ce"): Published(accuracy=71.82, source=OTHER_FAMILY),
    ("ShuffleV2", "kd"): Published(accuracy=74.45, source=OTHER_FAMILY),
    ("ShuffleV2", "dkd"): Published(accuracy=77.07, source=OTHER_FAMILY),
    ("ShuffleV2", "lskd"): Published(accuracy=75.56, source=OTHER_FAMILY),
}
