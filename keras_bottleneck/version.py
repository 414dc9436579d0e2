"""The version, where the build reads it without importing the package, and those of others."""

from importlib import metadata

__version__ = "0.1.0"


def version_of(distribution: str) -> str | None:
    """The version of an installed distribution; None if there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def versions(*packages: str) -> dict[str, str]:
    """The versions of this package and of `packages`, as far as they are installed."""
    installed = {package: version_of(package) for package in packages}
    return {"keras-bottleneck": __version__} | {
        package: found for package, found in installed.items() if found is not None
    }
