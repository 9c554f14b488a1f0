"""Small copies of the data sets that have a name, in every layout in which people have them."""

import pickle

import numpy as np
from PIL import Image

CINIC = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TINY = [f"n{number:08}" for number in range(1_443_537, 1_443_537 + 200)]
IMAGENET = [f"n{number:08}" for number in range(1_440_764, 1_440_764 + 1000)]


def pictures(count, size=8, seed=0):
    """Pictures that differ, and that a lossless file keeps."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def save(picture, path):
    """A lossless file, whatever its name says: decoders go by what is in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, "PNG", compress_level=1)


def cinic10(root, whole, *, parts=("train", "valid", "test")):
    """Two images of each class in each part; `whole[part]` holds them class by class."""
    for part in parts:
        for number, picture in enumerate(whole[part]):
            save(picture, root / "CINIC-10" / part / CINIC[number // 2] / f"{part}-{number:02}.png")


def tiny_imagenet(root, whole, *, val="as it comes"):
    """One validation image of each class, and one training image where `whole` has some; wnids.txt is not sorted."""
    top = root / "tiny-imagenet-200"
    (top / "train").mkdir(parents=True)
    for of, picture in zip(TINY, whole.get("train", ()), strict=False):
        save(picture, top / "train" / of / "images" / f"{of}_0.JPEG")
    (top / "wnids.txt").write_text("".join(f"{of}\n" for of in reversed(TINY)))
    synonyms = {of: f"thing {number}, Res {number}" for number, of in enumerate(TINY)}
    synonyms |= {TINY[3]: "crane", TINY[4]: "goldfish, Carassius auratus", TINY[5]: "crane, lifting machine"}
    (top / "words.txt").write_text("".join(f"{of}\t{names}\n" for of, names in synonyms.items()))
    lines = []
    for number, (of, picture) in enumerate(zip(TINY, whole["test"], strict=True)):
        name = f"val_{len(TINY) - number:04}.JPEG"
        folders = {"as it comes": "images", "in folders": of, "deeper": f"{of}/images", "inside": f"images/{of}"}
        save(picture, top / "val" / folders[val] / name)
        lines.append(f"{name}\t{of}\t0\t32\t44\t62\n")
    (top / "val" / "val_annotations.txt").write_text("".join(lines))


def imagenet(root, whole, *, val="in folders", folder="imagenet"):
    """One training image of each class where `whole` has some; one validation image of each of the first classes."""
    top = root / folder
    for of in IMAGENET:
        (top / "train" / of).mkdir(parents=True)
    for of, picture in zip(IMAGENET, whole.get("train", ()), strict=False):
        save(picture, top / "train" / of / f"{of}_7.JPEG")
    names = [f"ILSVRC2012_val_{number:08}" for number in range(len(whole["test"]), 0, -1)]
    for of, name, picture in zip(IMAGENET, names, whole["test"], strict=False):
        save(picture, top / "val" / (of if val == "in folders" else ".") / f"{name}.JPEG")
    labelled = list(zip(names, IMAGENET, strict=False))
    if val == "Kaggle's list":
        lines = "".join(f"{name},{of} 85 1 499 272 {of} 1 2 3 4\n" for name, of in labelled)
        (root / "LOC_val_solution.csv" if "CLS-LOC" in folder else top / "LOC_val_solution.csv").write_text(
            f"ImageId,PredictionString\n{lines}"
        )
    if val == "development kit":
        _development_kit(top / "ILSVRC2012_devkit_t12" / "data", [of for _, of in sorted(labelled)])


def _development_kit(folder, truth):
    """Its numbers of the classes go another way than the sorted ids, as the real ones do."""
    from scipy.io import savemat

    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    rows = [(number, of, "name", 0) for number, of in enumerate(reversed(IMAGENET), start=1)]
    folder.mkdir(parents=True)
    savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=kind)})
    numbers = {of: number for number, of, *_ in rows}
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{numbers[of]}\n" for of in truth))


def cifar(root, name, whole, monkeypatch):
    """The pickles that torchvision reads, without the sums that it checks."""
    from torchvision import datasets

    kind, classes = {"CIFAR10": (datasets.CIFAR10, 10), "CIFAR100": (datasets.CIFAR100, 100)}[name]
    monkeypatch.setattr(kind, "_check_integrity", lambda self: True)
    monkeypatch.setattr(datasets.cifar, "check_integrity", lambda *file: True)
    folder = root / kind.base_folder
    folder.mkdir(parents=True)
    key = "labels" if name == "CIFAR10" else "fine_labels"
    for split, files in (("train", kind.train_list), ("test", kind.test_list)):
        shares = np.array_split(np.arange(len(whole[split])), len(files))
        for (file, _), share in zip(files, shares, strict=True):
            rows = whole[split][share].transpose(0, 3, 1, 2).reshape(len(share), -1)
            (folder / file).write_bytes(pickle.dumps({"data": rows, key: (share % classes).tolist()}))
    meta = {kind.meta["key"]: [f"class {number}" for number in range(classes)]}
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps(meta))
