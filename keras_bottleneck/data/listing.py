"""Which images there are, and what is known of each: from class folders, parts of them, a table."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck import checks
from keras_bottleneck.data import table
from keras_bottleneck.data.parts import PARTS, TEST, TRAIN, VALIDATION, part_of
from keras_bottleneck.data.visible import checked_folder, folders_in, images_in
from keras_bottleneck.tasks import CLASSIFICATION


@dataclass(frozen=True)
class Listing:
    """The images of a folder.

    Attributes:
        root: The folder.
        files: The images.
        targets: What each image is: int32 (N,) class indices, or float32 (N, columns) labels of
            0 and 1, or numbers.
        names: Of the classes, the labels or the numbers.
        task: One of `TASKS`.
        parts: What each image is for, "train", "validation" or "test"; None for images that are
            yet to be split into training and validation.
    """

    root: Path
    files: tuple[Path, ...]
    targets: np.ndarray[Any, Any]
    names: tuple[str, ...]
    task: str
    parts: tuple[str | None, ...]

    def only(self, wanted: Sequence[bool]) -> "Listing":
        """The images of which `wanted` is true."""
        places = np.flatnonzero(wanted).tolist()
        return replace(
            self,
            files=tuple(self.files[place] for place in places),
            targets=self.targets[places],
            parts=tuple(self.parts[place] for place in places),
        )

    def for_part(self, part: str) -> "Listing":
        """The same images, all of them for one part."""
        return replace(self, parts=(part,) * len(self.files))


def listed(path: Any, labels: Any = None, validation: Any = None, task: Any = None) -> Listing:
    """The images of a folder, as `data.image_folder` describes it.

    Args:
        path: The folder.
        labels: File with a table of the images; None for labels.csv, where it is one.
        validation: Another folder, of images for the validation; None for none.
        task: As for `image_folder`.

    Raises:
        ValueError: If an argument is none of that, or parts have other classes than the training.
    """
    root = checked_folder(path)
    whole = _in_parts(root, task) if labels is None else None
    whole = whole or _of_one_folder(root, labels, task)
    if validation is None:
        return whole
    other = _of_one_folder(checked_folder(validation, "validation"), None, task, least=0)
    others = [_joinable(whole, other, VALIDATION)]
    kept = whole.only([part != VALIDATION for part in whole.parts])
    kept = replace(kept, parts=tuple(part or TRAIN for part in kept.parts))
    return _joined(kept, others)


def _of_one_folder(root: Path, labels: Any, task: Any, least: int = 2) -> Listing:
    """The images of a folder that has a table, or a folder for each of `least` classes or more."""
    file = table.table_of(root, labels)
    if file is None:
        return _by_class(root, task, least)
    rows = table.read(root, file, task)
    return Listing(root, rows.files, rows.targets, rows.names, rows.task, rows.parts)


def _by_class(root: Path, task: Any, least: int) -> Listing:
    names = folders_in(root)
    if len(names) < least:
        raise ValueError(
            "`path` must be a folder with a sub-folder for each of at least two classes, or with "
            f"a table {table.TABLE}. Received: path={str(root)!r} with {len(names)} sub-folders "
            f"{list(names)}"
        )
    if task not in (None, CLASSIFICATION):
        raise checks.reject("task", task, f"{CLASSIFICATION!r} where folders are classes")
    groups = [images_in(root / name) for name in names]
    for name, group in zip(names, groups, strict=True):
        if not group:
            raise ValueError(
                "`path` must hold at least one image per class. "
                f"Received: path={str(root)!r} with the empty class {name!r}"
            )
    indices = np.repeat(np.arange(len(names), dtype=np.int32), [len(group) for group in groups])
    files = tuple(file for group in groups for file in group)
    return Listing(root, files, indices, names, CLASSIFICATION, (None,) * len(files))


def _in_parts(root: Path, task: Any) -> Listing | None:
    """The images of a folder of parts, such as train and val; None where it is not one."""
    if table.table_of(root, None) is not None:
        return None
    folders = folders_in(root)
    parts = {name: part for name in folders if (part := part_of(name))}
    if TRAIN not in parts.values() or len(folders) > len(parts) < 2:
        return None
    doubled = [part for part in PARTS if list(parts.values()).count(part) > 1]
    if doubled:
        raise checks.reject("path", list(folders), f"a folder with one folder for {doubled[0]!r}")
    if foreign := sorted(set(folders) - set(parts)):
        accepted = f"a folder of the parts {', '.join(parts)} alone, or of classes"
        raise checks.reject("path", foreign, accepted)
    test = next((name for name, part in parts.items() if part == TEST), None)
    if test is not None and not _is_labelled(root / test):
        del parts[test]
        warnings.warn(
            f"the part {test!r} has no folders of classes and no {table.TABLE}, and is left out.",
            stacklevel=4,  # whoever called `image_folder`
        )
    opened = {part: _part(root / name, name, task) for name, part in parts.items()}
    train = opened.pop(TRAIN)
    if VALIDATION in opened:
        train = train.for_part(TRAIN)
    others = [_joinable(train, other, part) for part, other in opened.items()]
    return replace(_joined(train, others), root=root)


def _is_labelled(folder: Path) -> bool:
    return bool(folders_in(folder)) or table.table_of(folder, None) is not None


def _part(folder: Path, name: str, task: Any) -> Listing:
    try:
        return _of_one_folder(folder, None, task, least=2 if part_of(name) == TRAIN else 0)
    except ValueError as error:
        raise ValueError(f"{error} (the part {name!r} of a folder of parts)") from None


def _joinable(train: Listing, other: Listing, part: str) -> Listing:
    """`other`, all of it for a part, if it has the classes of the training images.

    Raises:
        ValueError: If not.
    """
    if other.names == train.names and other.task == train.task:
        return other.for_part(part)
    missing, more = (
        sorted(set(one.names) - set(another.names))
        for one, another in ((train, other), (other, train))
    )
    words = [f"without {name!r}" for name in missing[:3]]
    words += [f"with {name!r}, which the training images lack" for name in more[:3]]
    detail = ", ".join(words) or f"for {other.task}, where the training images are for {train.task}"
    raise ValueError(
        "`path` must have the same classes in each of its parts. Received: a part "
        f"{part!r} {detail}"
    )


def _joined(train: Listing, others: Sequence[Listing]) -> Listing:
    """All images of both; those of `train` come first."""
    everything = [train, *others]
    return replace(
        train,
        files=tuple(file for listing in everything for file in listing.files),
        targets=np.concatenate([listing.targets for listing in everything]),
        parts=tuple(part for listing in everything for part in listing.parts),
    )
