"""A user's own transform, unchanged, made to give the same picture twice."""

import hashlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator, Field, field_validator

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.outside import is_outside, line_of, load_function
from cache_kd.types import AnyPicture, Pictures, Samples, View, Views, ViewTensor
from cache_kd.views.generators import held_generators, seed_generators
from cache_kd.views.recipe import CPU, Album, Recipe

PURPOSE = "replay"
SEEDS = 3  # words of a picture: for Python, numpy and torch
# what seeds a test transform, the same for every picture: it may draw, but depends on the picture alone
PLAIN_SEEDS = [0] * SEEDS

# of arrays and tensors: 8 bits, or floats that hold k / 255 closely enough to tell it from others
DTYPES = ("uint8", "float32", "float64")

Transform = Callable[[Image.Image], Any]
AnyArray = NDArray[Any]
Floats = NDArray[np.float32] | NDArray[np.float64]


def _named(name: str) -> str:
    if not is_outside(name):
        raise ValueError("write package.module:function")
    return name


class Replay(Recipe):
    """Views made by a function of the user's, which may draw from Python's, numpy's and torch's own generators.

    Those are seeded from keyed words before every picture and given back as they were. The function takes a PIL image
    (RGB, or L for grey pictures) and returns one, a uint8 array [height, width, channels], or a tensor [channels,
    height, width]: uint8, or floats k / 255 as ToTensor makes them. A transform that takes tensors begins with
    v2.PILToTensor. All views have one size. Whatever draws elsewhere does not replay; see `selftest.check_replays`.

    Attributes:
        function: `package.module:function`, or the name of an instance there, such as a torchvision Compose.
        test: the same for test images; without it they stay as they are, and must have one size.
        code: digest of the source files that define the two; found out unless given. A recipe that comes with it
            imports nothing before its first view.
    """

    name: Literal["replay"] = "replay"
    function: Annotated[str, AfterValidator(_named)]
    test: Annotated[str | None, AfterValidator(lambda name: name and _named(name))] = None
    code: Annotated[str, Field(validate_default=True)] = ""
    device: Literal["cpu"] = "cpu"
    generators: Literal["python+numpy+torch"] = "python+numpy+torch"

    @field_validator("code")
    @classmethod
    def _found_out(cls, code: str, info: Any) -> str:
        return code or _digest(tuple(filter(None, (info.data.get("function"), info.data.get("test")))))

    def view(self, album: Album, seed: int, samples: Samples, view: int, device: torch.device = CPU) -> ViewTensor:
        """One picture after the other, each with generators of its own; see `Recipe.view`."""
        if device.type != "cpu":
            raise ConfigError(
                f"{self.function} is replayed on the CPU only; {device} was asked for. Leave --render at cpu: "
                "the generators of other devices are not seeded."
            )
        seeds = words(seed, PURPOSE, samples, view, SEEDS).tolist()
        places = [f"sample {sample}, view {view}" for sample in samples]
        return torch.from_numpy(_views(self.function, album.images(samples), seeds, places))

    def evaluate(self, pictures: Pictures) -> Views:
        """What `test` makes of each picture, or the pictures themselves."""
        places = [f"test picture {row} of a batch" for row in range(len(pictures))]
        if self.test is None:
            mend = f"name a transform for test images: test = the `package.module:function` beside {self.function}"
            return _stacked(list(pictures), places, "The recipe 'replay' without `test`", mend)
        return _views(self.test, pictures, [PLAIN_SEEDS] * len(pictures), places)

    def changed(self) -> str | None:
        """Whether the source files are those of `code`."""
        here = _digest(self.functions)
        return None if here == self.code else f"the code of {self.function} (digest {self.code} then, {here} now)"

    @property
    def cpu_only(self) -> bool:
        """What it does elsewhere is not known."""
        return True

    @property
    def takes_the_generators(self) -> bool:
        """All three, for the time of a batch."""
        return True

    @property
    def functions(self) -> tuple[str, ...]:
        """`function`, and `test` if there is one."""
        return (self.function,) if self.test is None else (self.function, self.test)


def module_of(name: str) -> ModuleType:
    """The module in which a function is defined; for any other object the one that names it, not its class's.

    Raises:
        ConfigError: there is no such function.
    """
    function = _load(name)
    return sys.modules[function.__module__ if inspect.isfunction(function) else name.partition(":")[0]]


def _views(name: str, pictures: Pictures, seeds: list[list[int]], places: list[str]) -> Views:
    transform = _load(name)
    with held_generators():
        views = [
            _view(name, transform, picture, seed, place)
            for picture, seed, place in zip(pictures, seeds, places, strict=True)
        ]
    return _stacked(views, places, name, "end it with a crop or resize to one size")


def _view(name: str, transform: Transform, picture: AnyPicture, seed: list[int], place: str) -> View:
    image = _image(picture, name)
    seed_generators(*seed)
    try:
        returned = transform(image)
    except Exception as fault:
        raise ConfigError(
            f"{name} fails on {place} ({image.mode}, {image.width}x{image.height} pixels): "
            f"{type(fault).__name__}: {fault}{line_of(fault, str(_file(name)))}. It is called with one PIL image."
        ) from fault
    return _pixels(returned, f"{name} on {place}")


def _image(picture: AnyPicture, name: str) -> Image.Image:
    channels = picture.shape[2]
    if channels not in (1, 3):
        raise ConfigError(f"{name}: PIL images are grey or RGB; these pictures have {channels} channels.")
    return Image.fromarray(np.ascontiguousarray(picture if channels == 3 else picture[:, :, 0]))


def _pixels(returned: Any, who: str) -> View:
    """What a transform returned, as uint8 with the channels last.

    Raises:
        ConfigError: it is not a picture, not of 8 bits, or normalised.
    """
    if isinstance(returned, torch.Tensor | np.ndarray) and _dtype(returned) not in DTYPES:
        raise ConfigError(f"{who} returned {_described(returned)}; expected uint8, or floats from 0 to 1.")
    if isinstance(returned, Image.Image):
        if returned.mode not in ("L", "RGB"):
            raise ConfigError(f"{who} returned an image of mode {returned.mode}; end with .convert('RGB').")
        values = np.asarray(returned)
    elif isinstance(returned, torch.Tensor) and _is_plain(returned):
        values = returned.detach().permute(1, 2, 0).numpy()
    elif isinstance(returned, np.ndarray):
        values = returned
    else:
        raise ConfigError(
            f"{who} returned {_described(returned)}; expected one picture: a PIL image, a uint8 tensor "
            f"[channels, height, width] on the CPU, or a uint8 array [height, width, channels].{_hint(returned)}"
        )
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or values.shape[2] not in (1, 3) or 0 in values.shape:
        raise ConfigError(f"{who} returned {_described(returned)}; expected 1 or 3 channels of at least one pixel.")
    return values if values.dtype == np.uint8 else _eight_bits(values, who)


def _is_plain(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.layout is torch.strided and tensor.dim() == 3


def _eight_bits(values: Floats, who: str) -> View:
    """Floats k / 255 as the whole numbers k."""
    if not (values.min() >= 0 and values.max() <= 1):
        raise ConfigError(
            f"{who} returned floats from {values.min():.3g} to {values.max():.3g}; expected 0 to 1. Leave Normalize "
            "out: kdcache normalises on the batch, by what --normalise says."
        )
    scaled = values * 255
    whole = np.rint(scaled)
    # k / 255 and k * (1 / 255) round differently, by up to 2e-5 after the product
    if np.abs(scaled - whole).max() > 1e-4:
        raise ConfigError(
            f"{who} returned floats between the 256 values that 8 bits have, and a picture is kept and compared in "
            "8 bits. Let every operation come before ToTensor or ToDtype, or leave those out, and Normalize too: "
            "kdcache does both on the batch."
        )
    return whole.astype(np.uint8)


def _stacked(views: list[AnyPicture], places: list[str], who: str, mend: str) -> Views:
    shapes = [view.shape for view in views]
    for shape, place in zip(shapes, places, strict=True):
        if shape != shapes[0]:
            first, other = ("x".join(map(str, shape)) for shape in (shapes[0], shape))
            raise ConfigError(f"{who} gives {first} for {places[0]}, but {other} for {place}; {mend}.")
    return np.ascontiguousarray(np.stack(views))


def _described(returned: Any) -> str:
    if isinstance(returned, torch.Tensor | np.ndarray):
        sparse = isinstance(returned, torch.Tensor) and returned.layout is not torch.strided
        kind = f"sparse {_dtype(returned)}" if sparse else _dtype(returned)
        return f"{kind} {type(returned).__name__} {list(returned.shape)}"
    return f"{type(returned).__name__}"


def _dtype(values: torch.Tensor | AnyArray) -> str:
    return str(values.dtype).removeprefix("torch.")


def _hint(returned: Any) -> str:
    if isinstance(returned, list | tuple):
        return " Several views of a picture are --views, or the recipe 'groups'."
    if callable(returned) and not isinstance(returned, torch.Tensor):
        return " Name what it made: `transform = …` in a module of yours, then package.module:transform."
    return ""


def _load(name: str) -> Transform:
    with held_generators():  # a module may draw or seed while it is imported
        return load_function(name, purpose="a transform of a picture")


def _digest(names: tuple[str, ...]) -> str:
    files = dict.fromkeys(_file(name) for name in names)
    return hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=8).hexdigest()


def _file(name: str) -> Path:
    module = module_of(name)
    file = getattr(module, "__file__", None)
    if file is None:
        raise ConfigError(
            f"{name}: the module {module.__name__!r} has no source file, so a student could not import it in another "
            "process. Write the transform into a file of its own."
        )
    return Path(file)
