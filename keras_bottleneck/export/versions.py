"""Which versions made an artifact."""

from importlib import metadata

from keras_bottleneck.version import __version__


def versions(*packages: str) -> dict[str, str]:
    """The versions of this package and of `packages`, as far as they are installed."""
    found = {"keras-bottleneck": __version__}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
