"""Which versions made an artifact."""

from importlib import metadata


def versions(*packages: str) -> dict[str, str]:
    """The versions of this package and of `packages`, as far as they are installed."""
    found = {}
    for package in ("keras-bottleneck", *packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
