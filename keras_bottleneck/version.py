"""The version, where the build reads it without importing the package, and those of others."""

from importlib import metadata

__version__ = "0.1.0"


def version_of(distribution: str) -> str | None:
    """The version of an installed distribution; None if there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
