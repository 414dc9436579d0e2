"""Which images can be decoded, how large they are, and what is said of the others."""

import warnings
from pathlib import Path

import numpy as np

from keras_bottleneck.data.decoding import Scan, scan
from keras_bottleneck.data.listing import Listing
from keras_bottleneck.data.parts import TRAIN
from keras_bottleneck.image_files import READABLE
from keras_bottleneck.tasks import CLASSIFICATION

SHOWN = 3


def readable(listing: Listing, on_corrupt: str) -> tuple[Listing, list[Scan], dict[Path, str]]:
    """The images that can be decoded, what decoding each has told, and why the others cannot.

    Raises:
        ValueError: If a class has no readable image to train with, or a file cannot be read and
            `on_corrupt` is "error".
    """

    def check(file: Path, result: Scan) -> None:
        if result.size is None and on_corrupt == "error":
            raise ValueError(
                f"`path` must hold readable {READABLE} files only, with "
                f"on_corrupt='error'. Received: {str(file)!r} ({result.problem})"
            )

    results = scan(listing.files, check)
    whole = [result.size is not None for result in results]
    pairs = list(zip(listing.files, results, strict=True))
    skipped = {file: result.problem for file, result in pairs if result.size is None}
    kept = listing.only(whole)
    _check_classes(listing, kept, skipped)
    if skipped:
        _warn_of(skipped, len(pairs), listing.root)
    return kept, [result for result in results if result.size is not None], skipped


def _check_classes(listing: Listing, kept: Listing, skipped: dict[Path, str]) -> None:
    """Refuses a class of which no image is left to train with."""
    if listing.task != CLASSIFICATION:
        return
    for index, name in enumerate(listing.names):
        if index in _trained(kept):
            continue
        group = listing.only(listing.targets == index).files
        lost = [file for file in group if file in skipped]
        if not lost:
            raise ValueError(
                "`path` must hold at least one image per class to train with. "
                f"Received: none of class {name!r}"
            )
        raise ValueError(
            "`path` must hold at least one readable image per class. Received: class "
            f"{name!r} with {len(lost)} unreadable files, the first {str(lost[0])!r} "
            f"({skipped[lost[0]]})"
        )


def _trained(listing: Listing) -> np.ndarray:
    """The classes that there are images of to train with."""
    return np.unique(listing.only([part in (None, TRAIN) for part in listing.parts]).targets)


def _warn_of(skipped: dict[Path, str], total: int, root: Path) -> None:
    named = [
        f"{file.relative_to(root) if file.is_relative_to(root) else file} ({problem})"
        for file, problem in list(skipped.items())[:SHOWN]
    ]
    more = f" and {len(skipped) - SHOWN} more" if len(skipped) > SHOWN else ""
    warnings.warn(
        f"{len(skipped)} of {total} files in {root} are no readable {READABLE} images "
        f"and are left out: {', '.join(named)}{more}",
        stacklevel=4,  # whoever called `image_folder`
    )
