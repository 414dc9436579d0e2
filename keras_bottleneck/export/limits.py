"""What formats cannot hold."""

from keras_bottleneck.export.source import Source


def check_limits(source: Source, formats: list[str]) -> None:
    """."""
