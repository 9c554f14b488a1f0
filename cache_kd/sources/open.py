"""Opens labelled images from whatever names them: a file, a tree, a data set or a function."""

from pathlib import Path

from cache_kd.errors import ConfigError, SourceError, did_you_mean
from cache_kd.outside import is_outside
from cache_kd.progress import Progress
from cache_kd.sources.source import SPLITS, Source, SourceSpec

FORMS = (
    "Expected one of: an HDF5 file (.h5, .hdf5) with groups train and test; a folder DIR/train/CLASS/*.jpg; "
    "a torchvision data set such as CIFAR100, with its root; or package.module:function."
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
    if _is_hdf5(spec):
        from cache_kd.sources.hdf5 import hdf5_splits

        return hdf5_splits(spec)
    if is_outside(spec.data):
        from cache_kd.sources.function import function_splits

        return function_splits(spec)
    if is_tree(spec):
        from cache_kd.sources.folder import folder_splits

        return folder_splits(spec)
    from cache_kd.sources.torchvision_set import ARRAY_SETS, known_set

    if known_set(spec.data):
        return SPLITS
    found = "is a file" if Path(spec.data).exists() else "does not exist as a file or folder"
    raise SourceError(f"--data {spec.data} {found}. {FORMS} Data sets: {did_you_mean(spec.data, ARRAY_SETS)}")


def is_tree(spec: SourceSpec) -> bool:
    """Whether the images are files in folders, which are decoded."""
    # with a root it is a torchvision name, even where a folder happens to be called CIFAR10
    return spec.root is None and Path(spec.data).is_dir()


def _is_hdf5(spec: SourceSpec) -> bool:
    return Path(spec.data).suffix.lower() in (".h5", ".hdf5")
