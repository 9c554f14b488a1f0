"""Resizing one picture by a named backend; the name stands in a recipe's JSON, for it decides pixels."""

from typing import Literal

import numpy as np
import torch
from PIL import Image

from cache_kd.errors import ConfigError
from cache_kd.types import Picture, View

Backend = Literal["pillow-bilinear-width-height/1", "pillow-bicubic-width-height/1", "torchvision-uint8-bilinear/1"]


def resize(picture: Picture, height: int, width: int, backend: Backend) -> View:
    """`picture`, grey or RGB, at `height` x `width`, antialiased.

    Raises:
        ConfigError: the picture has another number of channels.
    """
    if picture.shape[2] not in (1, 3):
        raise ConfigError(f"Recipes that resize take grey or RGB images; these have {picture.shape[2]} channels.")
    match backend:
        case "pillow-bilinear-width-height/1":
            return _pillow(picture, height, width, Image.Resampling.BILINEAR)
        case "pillow-bicubic-width-height/1":
            return _pillow(picture, height, width, Image.Resampling.BICUBIC)
        case "torchvision-uint8-bilinear/1":
            return _torchvision(picture, height, width)


def _pillow(picture: Picture, height: int, width: int, filter: Image.Resampling) -> View:
    channels = picture.shape[2]
    image = Image.fromarray(np.ascontiguousarray(picture if channels == 3 else picture[:, :, 0]))
    # which axis a single call takes first depends on the release, and with it the rounding in between
    image = image.resize((width, image.height), filter).resize((width, height), filter)
    return np.asarray(image).reshape(height, width, channels)


def _torchvision(picture: Picture, height: int, width: int) -> View:
    # its import takes a second, which only those pay who ask for it
    from torchvision.transforms.v2 import functional

    tensor = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
    resized: View = functional.resize(tensor, [height, width]).permute(1, 2, 0).numpy()
    return resized
