"""Which versions made an artifact."""

from keras_bottleneck.version import __version__, version_of


def versions(*packages: str) -> dict[str, str]:
    """The versions of this package and of `packages`, as far as they are installed."""
    installed = {package: version_of(package) for package in packages}
    return {"keras-bottleneck": __version__} | {
        package: version for package, version in installed.items() if version is not None
    }
