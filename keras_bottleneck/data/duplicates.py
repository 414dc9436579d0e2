"""Images that are in the training and in another part: what they are evaluated with was learnt."""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

SHOWN = 3


def duplicated(train: Iterable[Path], others: Iterable[Path]) -> list[tuple[Path, Path]]:
    """A file of `train` and the one of `others` with the same content, for each such of `others`.

    Only files of equal size are read.
    """
    of_size: dict[int, list[Path]] = defaultdict(list)
    for file in train:
        of_size[file.stat().st_size].append(file)
    digests: dict[Path, bytes] = {}

    def digest(file: Path) -> bytes:
        if file not in digests:
            with file.open("rb") as stream:
                digests[file] = hashlib.file_digest(stream, "sha256").digest()
        return digests[file]

    pairs = []
    for other in others:
        alike = of_size.get(other.stat().st_size, ())
        twin = next((file for file in alike if digest(file) == digest(other)), None)
        if twin is not None:
            pairs.append((twin, other))
    return pairs


def warn_of_duplicates(root: Path, train: Iterable[Path], others: Iterable[Path]) -> None:
    """Warns of images that train and validate, or test, by name."""
    pairs = duplicated(train, others)
    if not pairs:
        return

    def shown(file: Path) -> str:
        return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)

    named = ", ".join(f"{shown(one)} = {shown(other)}" for one, other in pairs[:SHOWN])
    more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
    warnings.warn(
        f"{len(pairs)} images validate or test that are trained with, too, so that figures will be "
        f"too good: {named}{more}",
        stacklevel=3,  # whoever called `image_folder`
    )
