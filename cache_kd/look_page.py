"""One self-contained HTML page about a few samples: pictures, the teacher's word, what each method makes of it."""

import io
from base64 import b64encode
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from PIL import Image

from cache_kd.disk import mending
from cache_kd.errors import RunError
from cache_kd.files import write_whole
from cache_kd.types import AnyPicture

# one colour for each class of the legend, in the teacher's order; the last is the label's where it ranks lower
COLOURS = ("#4c78a8", "#f2a541", "#72b7b2", "#b279a2", "#e07b67", "#9d8f5a", "#54a24b")
# pixels; a larger picture is made smaller, a smaller one is shown larger with its pixels visible
LARGEST = 192


@dataclass(frozen=True, kw_only=True)
class Share:
    """One class and what it gets."""

    number: int
    name: str
    value: float  # a probability, or a pull between -1 and 1
    label: bool
    left_out: bool
    colour: int | None  # place in the legend; None for a class that is not in it


@dataclass(frozen=True, kw_only=True)
class SeenView:
    """One view, and what the teacher says of it."""

    number: int
    picture: AnyPicture
    named: str
    probability: float
    right: bool


@dataclass(frozen=True, kw_only=True)
class SeenTerm:
    """What one term of a method asks of an undecided student."""

    caption: str
    tau: float
    gain: float
    weight: float
    entropy: float  # nats
    effective: float  # exp of the entropy
    shares: tuple[Share, ...]  # the legend's classes in its order, then others that are large
    rest: float  # of all classes that have no colour
    left_out: int  # classes
    of_student: bool

    @property
    def even(self) -> bool:
        """Whether all classes have the same probability."""
        kept = [share.value for share in self.shares if not share.left_out]
        return len(kept) > 1 and max(kept) - min(kept) < 1e-9


@dataclass(frozen=True, kw_only=True)
class SeenMethod:
    """What a method makes of one sample."""

    name: str
    reference: str
    needs: str
    reads_student: bool
    terms: tuple[SeenTerm, ...]
    silent: tuple[str, ...]  # captions of terms that do not look at this sample
    of_batch: tuple[str, ...]  # captions of terms that compare the batch as a whole
    pull: tuple[
        Share, ...
    ]  # the legend's classes, then the highest and the lowest others; the largest of all is 1 or -1


@dataclass(frozen=True, kw_only=True)
class SeenSample:
    """One sample, from its pictures to the methods."""

    number: int
    kind: str
    label: str
    views: tuple[SeenView, ...]
    teacher: tuple[Share, ...]  # probabilities of view 0, largest first: the legend
    rest: float
    margin: float  # between the two largest probabilities
    entropy: float
    effective: float
    methods: tuple[SeenMethod, ...]


@dataclass(frozen=True, kw_only=True)
class Look:
    """Everything on the page."""

    store: str
    teacher: str
    classes: int
    scanned: int  # samples that the choice was made from
    right: float  # share of them that the teacher names rightly
    kinds: dict[str, int]  # kind -> how many samples there were to choose from
    facts: dict[str, str]
    samples: tuple[SeenSample, ...]

    def numbers(self) -> dict[str, Any]:
        """Plain values for JSON, without the pictures."""
        plain = asdict(self)
        for sample in plain["samples"]:
            for view in sample["views"]:
                del view["picture"]
        return plain


def write_page(path: Path, look: Look) -> None:
    """Write the page to `path`; nothing in it is loaded from elsewhere and nothing in it runs.

    Raises:
        RunError: the file cannot be written.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "png": data_uri, "short": short}
    template = environment.from_string(files("cache_kd").joinpath("look.html").read_text("utf-8"))
    page = template.render(look=look, colours=COLOURS)
    with mending(path, RunError, option="--out", again="run the same command again"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, page.encode())


def percent(probability: float) -> str:
    """Two digits that matter.

    >>> percent(0.9876), percent(0.0234), percent(0.00004)
    ('99 %', '2.3 %', '< 0.01 %')
    """
    value = 100 * probability
    if 0 < value < 0.01:
        return "< 0.01 %"
    return f"{value:.0f} %" if value >= 9.95 or value == 0 else f"{value:.1f} %" if value >= 0.95 else f"{value:.2f} %"


def short(value: float) -> str:
    """A number that a person reads in passing.

    >>> short(4.0), short(13.3701), short(0.25)
    ('4', '13.4', '0.25')
    """
    return f"{value:.3g}"


def data_uri(picture: AnyPicture) -> str:
    """The picture as a PNG inside the page; grey where it has not three channels."""
    pixels = picture if picture.shape[2] == 3 else picture[:, :, 0]
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((LARGEST, LARGEST))
    target = io.BytesIO()
    image.save(target, format="png", optimize=True)
    return f"data:image/png;base64,{b64encode(target.getvalue()).decode()}"
