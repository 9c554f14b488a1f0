"""The model's door: uint8 pixels in, normalised images out, on the device where the model lives."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cache_kd.config import Config, build
from cache_kd.errors import ConfigError, did_you_mean
from cache_kd.types import Images

Positive = Annotated[float, Field(gt=0)]


class Normalise(Config):
    """Mean and standard deviation of each channel, for pixels scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[Positive, ...]

    def __call__(self, pixels: Tensor, *, channels_last: bool = True) -> Images:
        """Images float32 [batch, channels, height, width] from `pixels` uint8 [batch, height, width, channels].

        The result is channels-last in memory, which is how the pixels came, so nothing is moved;
        convolutions on a CPU are about twice as fast on it.

        Args:
            pixels: as they were rendered.
            channels_last: False for a model that wants the usual layout of its images in memory.
        """
        std = torch.tensor(self.std, dtype=torch.float32, device=pixels.device)
        mean = torch.tensor(self.mean, dtype=torch.float32, device=pixels.device)
        # constants as long as a row of pixels: a last axis of three keeps the loop from being vectorised. One picture
        # of 224x224 takes 0.07 ms instead of 0.26, of 32x32 0.9 us instead of 4.9
        width = pixels.shape[2]
        rows = pixels.flatten(2).float().mul_((1 / (255 * std)).repeat(width)).sub_((mean / std).repeat(width))
        images = rows.view(pixels.shape).permute(0, 3, 1, 2)
        return images if channels_last else images.contiguous()


# as the literature's code has them
KNOWN = {
    "cifar10": Normalise(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    "cifar100": Normalise(mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761)),
    "cinic10": Normalise(mean=(0.47889522, 0.47227842, 0.43047404), std=(0.24205776, 0.23828046, 0.25874835)),
    "fashion-mnist": Normalise(mean=(0.2860,), std=(0.3530,)),
    "imagenet": Normalise(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "tiny-imagenet": Normalise(mean=(0.4802, 0.4481, 0.3975), std=(0.2302, 0.2265, 0.2262)),
}


def make_normalise(spec: str | dict[str, object], *, channels: int) -> Normalise:
    """A known name such as `cifar100`, or {"mean": […], "std": […]}; one number per channel of the images.

    Raises:
        ConfigError: an unknown name, or another number of channels.
    """
    normalise = read_normalise(spec)
    if not len(normalise.mean) == len(normalise.std) == channels:
        raise ConfigError(
            f"The normalisation has {len(normalise.mean)} mean(s) and {len(normalise.std)} std(s); "
            f"the images have {channels} channel(s)."
        )
    return normalise


def read_normalise(spec: str | dict[str, object]) -> Normalise:
    """What a known name or means and stds say, for images of any number of channels.

    Raises:
        ConfigError: an unknown name.
    """
    if isinstance(spec, str) and spec not in KNOWN:
        raise ConfigError(f"There is no normalisation {spec!r}; {did_you_mean(spec, KNOWN)}")
    return KNOWN[spec] if isinstance(spec, str) else build(Normalise, spec)
