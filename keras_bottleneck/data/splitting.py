"""The stratified split into training and validation samples."""

import hashlib
from collections.abc import Sequence

from keras_bottleneck.checks import reject


def stratified_split(
    names: Sequence[str], labels: Sequence[int], validation_split: float, seed: int
) -> tuple[list[int], list[int]]:
    """Indices of the training samples, ascending, and of the validation samples, classes mixed.

    Within a class, samples are ranked by a hash of seed and name, and the first
    `validation_split` of them validate. The split therefore depends neither on the order in which
    a file system lists its files nor on the other classes. Every class keeps a training sample,
    and gets a validation sample where it has two or more. Those that validate come in the order of
    their hashes, so that whoever takes the first few of them takes some of every class.

    Args:
        names: One per sample, unique.
        labels: One class index per sample.
        validation_split: Share of every class that validates, in [0, 1).
        seed: Another one gives another split.

    Raises:
        ValueError: If a split is wanted, but every class has a single sample.

    Example:
        >>> stratified_split(["a", "b", "c", "d"], [0, 0, 1, 1], 0.5, seed=0)
        ([1, 2], [3, 0])
    """
    members: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(label, []).append(index)
    validation: set[int] = set()
    for indices in members.values():
        ranked = sorted(indices, key=lambda index: rank(seed, names[index]))
        validation.update(ranked[: _validation_count(len(ranked), validation_split)])
    if validation_split > 0 and not validation:
        raise reject("validation_split", validation_split, "0 where every class has one image only")
    train = [index for index in range(len(names)) if index not in validation]
    return train, sorted(validation, key=lambda index: rank(seed, names[index]))


def _validation_count(size: int, validation_split: float) -> int:
    if validation_split == 0:
        return 0
    return min(max(round(size * validation_split), 1), size - 1)


def rank(seed: int, name: str) -> bytes:
    """What samples are ordered by: a hash of the seed and the sample's name."""
    return hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()
