"""Labels that stand in a list beside the images: each image of a folder to the class that the list says."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cache_kd.errors import SourceError
from cache_kd.sources.listing import image_files


def by_list(top: Path, labels: Mapping[str, str], ids: Sequence[str], *, origin: Path) -> tuple[list[str], ...]:
    """The images of one folder, class by class, in the order of their names.

    Args:
        top: the folder, an absolute path.
        labels: the id of the class of each image, by the image's own name.
        ids: of all classes, in their order.
        origin: the file that `labels` were read from.

    Raises:
        SourceError: an image is not in the list, or its class is none of `ids`.
    """
    place = {of: number for number, of in enumerate(ids)}
    files: tuple[list[str], ...] = tuple([] for _ in ids)
    (found,) = image_files(top, [""])
    for file in found:
        of = labels.get(file.rpartition("/")[2])
        if of is None:
            raise SourceError(
                f"{origin} has no line for {top / file}; expected one for each image. Get the list again, or remove "
                "the image."
            )
        if of not in place:
            raise SourceError(
                f"{origin} puts {file} into {of!r}; expected one of {len(ids)} classes such as {ids[0]}. "
                "Get the list again."
            )
        files[place[of]].append(file)
    return files


def by_folder(top: Path, ids: Sequence[str], within: Mapping[str, str] | None = None) -> tuple[list[str], ...]:
    """The images of each class in its own folder, in the order of their own names.

    Args:
        top: an absolute path.
        ids: of all classes, which name the folders.
        within: a folder inside the class's own that holds the images, by the class's id; absent where there is none.
    """
    inside = within or {}
    return image_files(top, [f"{of}/{inside[of]}" if of in inside else of for of in ids])


def read_lines(path: Path) -> list[str]:
    """The lines of a text that are not empty.

    Raises:
        SourceError: it is missing or is no text.
    """
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as fault:
        raise SourceError(
            f"{path} cannot be read: {getattr(fault, 'strerror', None) or fault}. Get it again."
        ) from None
