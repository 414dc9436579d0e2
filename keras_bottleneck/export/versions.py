"""Which versions made an artifact."""

from importlib import metadata


def versions(*packages: str) -> dict[str, str]:
    """The installed versions of this package and of `packages`; those not installed are left out."""
    found = {}
    for package in ("keras-bottleneck", *packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
