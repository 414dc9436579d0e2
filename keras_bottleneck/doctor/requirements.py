"""What the installed packages want of each other, by their own metadata."""

from collections.abc import Iterable
from importlib import metadata
from typing import NamedTuple

from keras_bottleneck.version import version_of


class Unmet(NamedTuple):
    """A requirement that what is installed does not meet."""

    sentence: str
    fix: str


def unmet(packages: Iterable[str]) -> list[Unmet]:
    """The requirements of the installed ones of `packages` on versions that are not met.

    A requirement on something that is not installed is passed over: on a device, most of what
    this package can use is missing on purpose. So is everything where `packaging`, which reads
    requirements, is missing itself.
    """
    try:
        from packaging.requirements import Requirement
    except ModuleNotFoundError:
        return []
    unmet_requirements = []
    for package in packages:
        for line in _requires(package):
            requirement = Requirement(line)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            installed = version_of(requirement.name)
            if installed is None or requirement.specifier.contains(installed, prereleases=True):
                continue
            wanted = f"{requirement.name}{requirement.specifier}"
            sentence = f"{package} wants {wanted}, and {installed} is installed"
            unmet_requirements.append(Unmet(sentence, f"pip install '{wanted}'"))
    return unmet_requirements


def _requires(package: str) -> list[str]:
    try:
        return metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return []
