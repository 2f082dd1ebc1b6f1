"""How a folder of videos is laid out: SPLIT/CLASS/VIDEO or CLASS/VIDEO; without labels SPLIT/VIDEO or in any way."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from l2l.core.texts import many
from l2l.media.folders import Listing

from .rows import PrepareError, decided, one_form, say_forms

# Names of folders, in any case, that hold the videos of a split.
SPLIT_OF = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
SPLIT_OF |= {"test": "test", "testing": "test"}


class Place(NamedTuple):
    """The class and the split of a video; "" where the folders do not say."""

    label: str
    split: str


def arranged(inside: Listing, *, labels: bool) -> dict[str, Place]:
    """Every video once, by one of its names -> its place; what follows from the folders' names is said.

    Args:
      inside: what lies below the folder.
      labels: whether folders are classes; what lies in none is passed over, which is said.

    Raises:
      PrepareError: folders of splits among others, or one file in two places.
    """
    names = [name for first, others in inside.videos.items() for name in (first, *others)]
    splits = _split_folders(inside.root, names, labels=labels)
    depth = bool(splits) + labels  # folders that say something

    def place(name: str) -> Place | None:
        folders = name.split("/")[:-1]
        if len(folders) < depth:
            return None
        return Place(one_form(folders[depth - 1]) if labels else "", splits.get(folders[0], "") if splits else "")

    _check_linked_folders(inside, place, names, depth)
    found: dict[str, Place] = {}
    outside = []
    for first, others in inside.videos.items():
        here = [(name, where) for name in (first, *others) if (where := place(name))]
        if other := next((name for name, where in here if where != here[0][1]), None):
            raise _twice(inside.root, other, here[0][0])
        found |= dict(here[:1])
        outside += [] if here else [first]
    if found and outside:
        decided(f"{inside.root}: {many(len(outside), 'video')} outside class folders passed over, such as {outside[0]}")
    if labels:
        say_forms(inside.root, {name.split("/")[depth - 1] for name in found})
    return found


def _split_folders(root: str, names: Collection[str], *, labels: bool) -> dict[str, str]:
    """Folder -> split, where the folders at the top are those of splits; else nothing.

    A class may be called train, beside others or alone.
    """
    tops = dict.fromkeys(name.split("/", 1)[0] for name in names if "/" in name)
    found = {top: SPLIT_OF[top.lower()] for top in tops if top.lower() in SPLIT_OF}
    others = [top for top in tops if top not in found] + [name for name in names if "/" not in name and not labels]
    deep = any(name.count("/") > 1 and name.split("/", 1)[0] in found for name in names)
    if (len(found) < 2 and (others or not (labels and deep))) or (labels and others and not deep):
        return {}
    layout = "SPLIT/CLASS/VIDEO" if labels else "SPLIT/VIDEO"
    if others:
        raise PrepareError(
            f"{root} mixes folders of splits ({', '.join(found)}) with others ({others[0]}): make it {layout} "
            "throughout, or write a CSV with path, label and split of every video"
        )
    loose = [name for name in names if name.count("/") == 1 and labels]
    if loose:
        raise PrepareError(
            f"{root}/{loose[0]} lies in the folder of a split, but in no class folder: make it {layout}; videos "
            "without labels are for --dataset=unlabelled, classes of such names for a CSV"
        )
    if len(set(found.values())) < len(found):
        raise PrepareError(f"{root} has several folders of one split among {', '.join(found)}: join them")
    decided(f"{root} is laid out as {layout}: {', '.join(f'{top} is {split}' for top, split in found.items())}")
    return found


def _check_linked_folders(
    inside: Listing, place: Callable[[str], Place | None], names: Collection[str], depth: int
) -> None:
    """Refuses a folder that is another one by a link, where that is another class or split."""
    for other, first in inside.again.items():
        above = not first or other.startswith(f"{first}/")
        used = any(name.startswith(f"{first}/") for name in names)
        if used and not above and (other.count("/") < depth or place(f"{other}/") != place(f"{first}/")):
            raise _twice(inside.root, other, first)


def _twice(root: str, other: str, first: str) -> PrepareError:
    return PrepareError(
        f"{root}: {other} is the same as {first}, by a link, in another class or split: remove one of the two; a video "
        "of several classes is for a CSV, which separates them by |"
    )
