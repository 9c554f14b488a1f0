"""Opens labelled images from whatever names them: a file, a tree, a data set or a function."""

from pathlib import Path

from cache_kd.errors import ConfigError, SourceError, did_you_mean
from cache_kd.outside import is_outside
from cache_kd.progress import Progress, Silent
from cache_kd.sources.listing import is_text
from cache_kd.sources.preset import PRESETS, ListSplit, Preset, preset_named, preset_of
from cache_kd.sources.source import SPLITS, Source, SourceSpec

FORMS = (
    "Expected one of: an HDF5 file (.h5, .hdf5) with groups train and test; a folder DIR/train/CLASS/*.jpg; "
    "a data set such as cifar-100 (kdcache data) or torchvision's SVHN, with --root; or package.module:function."
)


def open_source(spec: SourceSpec, progress: Progress | None = None) -> Source:
    """Open the images that `spec` names.

    Args:
        spec: which images.
        progress: who watches where all files of a tree must be decoded once, to leave out the unreadable ones.

    Raises:
        SourceError: nothing is there, or what is there is not labelled images.
        ConfigError: a named function cannot be imported, or a decoder is asked for where there are no files.
    """
    _check_text(spec)
    if spec.decode is not None and not is_tree(spec):
        splits(spec)  # where nothing is there at all, that is what must be said
        raise ConfigError(
            f"{spec.data} is not a folder of image files, so there is nothing to decode. Leave out --decode, --exif "
            "and --unreadable."
        )
    # each kind is imported when it is asked for: h5py, Pillow and torchvision cost up to a second each
    if is_outside(spec.data) and spec.split in SPLITS:
        # before `splits`, which would call the function for the other split as well
        from cache_kd.sources.function import open_function

        return open_function(spec)
    present = splits(spec)
    if spec.split not in present:
        raise SourceError(f"{spec.data} has no split {spec.split!r}; it has {', '.join(present)}.")
    if _is_hdf5(spec):
        from cache_kd.sources.hdf5 import open_hdf5

        return open_hdf5(spec)
    preset = preset_of(spec)
    if preset and preset.listing:
        return _open_listed(preset, preset.listing, spec, progress or Silent())
    if is_tree(spec):
        from cache_kd.sources.folder import open_folder

        return open_folder(spec, progress)
    from cache_kd.sources.torchvision_set import open_torchvision_set

    return open_torchvision_set(spec)


def splits(spec: SourceSpec) -> tuple[str, ...]:
    """Those of "train" and "test" that the data has; `spec.split` plays no part.

    A function is called with "test" to find out, and says None where it has no such split.

    Raises:
        SourceError: as for `open_source`.
        ConfigError: a named function cannot be imported.
    """
    _check_text(spec)
    if _is_hdf5(spec):
        from cache_kd.sources.hdf5 import hdf5_splits

        return hdf5_splits(spec)
    if is_outside(spec.data):
        from cache_kd.sources.function import function_splits

        return function_splits(spec)
    if preset_of(spec):
        return SPLITS
    if is_tree(spec):
        from cache_kd.sources.folder import folder_splits

        return folder_splits(spec)
    from cache_kd.sources.torchvision_set import ARRAY_SETS, known_set

    preset = preset_named(spec.data)
    if preset:
        raise SourceError(
            f"{preset.title} needs --root, the folder that holds it; kdcache data {preset.name} says more."
        )
    if known_set(spec.data):
        return SPLITS
    found = "is a file" if Path(spec.data).exists() else "does not exist as a file or folder"
    known = (*(preset.name for preset in PRESETS), *ARRAY_SETS)
    raise SourceError(f"--data {spec.data} {found}. {FORMS} Data sets: {did_you_mean(spec.data, known)}")


def is_tree(spec: SourceSpec) -> bool:
    """Whether the images are files in folders, which are decoded."""
    if spec.root is None:
        return Path(spec.data).is_dir()
    # with a root it is the name of a data set, even where a folder happens to be called CIFAR10
    preset = preset_of(spec)
    return preset is not None and preset.listing is not None


def _open_listed(preset: Preset, listing: ListSplit, spec: SourceSpec, progress: Progress) -> Source:
    """The image files of a preset; says so where there are fewer or more than it has."""
    from cache_kd.sources.folder import open_listing

    assert spec.root is not None
    source = open_listing(spec, listing(preset.place(spec.root), spec.split), progress)
    found, expected = len(source) + len(source.spec.skipped or ()), preset.images[spec.split]
    if found != expected:
        progress.say(
            f"{preset.title}: {found:,} {spec.split} images are there, {expected:,} are expected. "
            f"kdcache data {preset.name} --root {spec.root} says what is missing."
        )
    return source


def _check_text(spec: SourceSpec) -> None:
    """Refuse what a manifest cannot hold: a path in another encoding than UTF-8."""
    for option, path in (("--data", spec.data), ("--root", spec.root or "")):
        if not is_text(path):
            raise SourceError(f"{option} {path!r} is not UTF-8. Rename the file or folder, or name it by a link.")


def _is_hdf5(spec: SourceSpec) -> bool:
    return Path(spec.data).suffix.lower() in (".h5", ".hdf5")
