"""Claims: keyed views cost no more than torchvision v2's, most of them far less, and proving them costs little.

One thread each, both sides in turns:

- 32x32 images in memory, batches of 512, normalised: pad-crop-flip at most 1/8, RandAugment at most 1/4 of the time
  that torchvision v2 takes sample by sample on uint8 tensors, as a data set does;
- JPEG files to 224x224, normalised: no slower than torchvision v2 with the same decoder, with Pillow's pictures and
  with torchvision's, plain and with RandAugment;
- comparing digests: 1/64 of the rows at most 0.5 %, all rows at most 10 % of the time that feeding takes.

    pip install scikit-image    # its photographs are cut into a tree of JPEG files of different sizes
    PYTHONPATH=. python benchmarks/views.py --json views.json
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Timing, interleave, ratios, report
from photographs import photograph_tree
from PIL import Image
from torchvision.io import ImageReadMode, decode_image, read_file
from torchvision.transforms import v2

from cache_kd import threads
from cache_kd.models.normalise import KNOWN
from cache_kd.proof import PixelProof
from cache_kd.sources.arrays import array_source
from cache_kd.sources.decode import Decoding
from cache_kd.sources.open import open_source
from cache_kd.sources.source import SourceSpec
from cache_kd.views import digests, make_recipe

BATCH = 512
JPEG_BATCH = 32
CIFAR, IMAGENET = KNOWN["cifar100"], KNOWN["imagenet"]
RESIZES = {"pillow": "pillow-bilinear-width-height/1", "torchvision": "torchvision-uint8-bilinear/1"}  # by decoder
FLOAT = v2.ToDtype(torch.float32, scale=True)
# how many batches each is timed over: one in 64 is compared, so many are needed to see the mean
CHECKS = {"1/64 of the rows of 4096 batches checked": ("sample", 4096), "all rows checked": ("all", 1)}


def main() -> None:
    """Read the command line, time all pairs, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--files", type=int, default=64, help="JPEG files in the tree")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    threads.THREADS = 1

    functions = in_memory() | proofs()
    with tempfile.TemporaryDirectory() as folder:
        functions |= from_files(photograph_tree(Path(folder), arguments.files))
        timings = interleave(functions, arguments.rounds)
    report("views and their proof", timings, over="pad-crop-flip", json=arguments.json, facts=facts(timings, arguments))


def in_memory() -> dict[str, Callable[[], object]]:
    """512 images of 32x32: keyed views of the batch, and torchvision v2 sample by sample."""
    source = cifar_sized()
    samples = np.arange(BATCH)
    channels_first = torch.from_numpy(source.images(samples).transpose(0, 3, 1, 2).copy())
    frame = [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]
    functions: dict[str, Callable[[], object]] = {}
    for name, words, steps in (
        ("pad-crop-flip", "cifar", []),
        ("RandAugment", "cifar+randaugment", [v2.RandAugment()]),
        ("TrivialAugment", "cifar+trivialaugment", [v2.TrivialAugmentWide()]),
    ):
        recipe = make_recipe(words)
        theirs = v2.Compose([*frame, *steps, FLOAT, v2.Normalize(CIFAR.mean, CIFAR.std)])

        def keyed(recipe: Any = recipe) -> None:
            CIFAR(recipe.view(source, 0, samples, 0))

        def torchvision_v2(theirs: Any = theirs) -> None:
            torch.stack([theirs(picture) for picture in channels_first])

        functions |= {name: keyed, f"{name}, torchvision v2": torchvision_v2}
    return functions


def from_files(top: Path) -> dict[str, Callable[[], object]]:
    """JPEG files to normalised 224x224: the same decoder on both sides."""
    functions: dict[str, Callable[[], object]] = {}
    for decoder, resize in RESIZES.items():
        source = open_source(SourceSpec(data=str(top), decode=Decoding(backend=f"{decoder}/1")))
        samples = np.arange(min(JPEG_BATCH, len(source)))
        files = sorted((top / "train").rglob("*.jpg"))[: len(samples)]
        for name, steps, theirs in (("JPEG", [], []), ("JPEG + RandAugment", ["randaugment"], [v2.RandAugment()])):
            frame = make_recipe({"name": "rrc", "resize": resize})
            recipe = make_recipe({"name": "chain", "base": frame, "steps": steps}) if steps else frame
            to_tensor = [v2.PILToTensor()] if decoder == "pillow" else []
            frame_of_theirs = [v2.RandomResizedCrop(224, antialias=True), v2.RandomHorizontalFlip()]
            normalise = v2.Normalize(IMAGENET.mean, IMAGENET.std)
            transform = v2.Compose([*frame_of_theirs, *theirs, *to_tensor, FLOAT, normalise])
            open_file = _by_pillow if decoder == "pillow" else _by_torchvision

            def keyed(recipe: Any = recipe, source: Any = source, samples: Any = samples) -> None:
                IMAGENET(recipe.view(source, 0, samples, 0))

            def torchvision_v2(transform: Any = transform, open_file: Any = open_file, files: Any = files) -> None:
                torch.stack([transform(open_file(file)) for file in files])

            functions |= {f"{name}, {decoder}": keyed, f"{name}, {decoder}, torchvision v2": torchvision_v2}
    return functions


def proofs() -> dict[str, Callable[[], object]]:
    """What comparing digests costs beside feeding the same batch."""
    source, recipe, samples = cifar_sized(), make_recipe("cifar"), np.arange(BATCH)
    pixels = recipe.view(source, 0, samples, 0)
    stored = digests(pixels.numpy())
    functions: dict[str, Callable[[], object]] = {}
    for name, (check, batches) in CHECKS.items():
        proof = PixelProof(stored=lambda view: stored, seed=0, check=check, stored_environment={}, environment={})  # type: ignore[arg-type]
        proof(pixels, samples, 0)  # the first batch is always checked

        def checked(proof: PixelProof = proof, batches: int = batches) -> None:
            for view in range(batches):
                proof(pixels, samples, view)

        functions[name] = checked
    return functions


def facts(timings: dict[str, Timing], arguments: argparse.Namespace) -> dict[str, Any]:
    """The ratios that the claims are about."""
    found: dict[str, Any] = {
        "times faster than torchvision v2": {
            name: round(1 / ratios(timings, f"{name}, torchvision v2")[name].median, 2)
            for name in timings
            if f"{name}, torchvision v2" in timings
        },
        "share of feeding": {
            name: f"{100 * ratios(timings, 'pad-crop-flip')[name].median / batches:.2f} %"
            for name, (_, batches) in CHECKS.items()
        },
        "images per second, pad-crop-flip": round(BATCH / timings["pad-crop-flip"].median),
    }
    jpegs = min(JPEG_BATCH, arguments.files)
    found["images per second, JPEG"] = {
        name: round(jpegs / timing.median) for name, timing in timings.items() if name.startswith("JPEG")
    }
    return found


def cifar_sized() -> Any:
    """512 colour images of 32x32 in memory."""
    pictures = np.random.default_rng(0).integers(0, 256, (BATCH, 32, 32, 3), dtype=np.uint8)
    return array_source(SourceSpec(data="noise"), pictures, np.zeros(BATCH, dtype=np.int64))


def _by_pillow(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")


def _by_torchvision(file: Path) -> torch.Tensor:
    return decode_image(read_file(str(file)), mode=ImageReadMode.RGB)


if __name__ == "__main__":
    main()
