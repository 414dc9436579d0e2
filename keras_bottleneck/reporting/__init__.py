"""A run folder -> one HTML page that shows what came of it."""

from keras_bottleneck.reporting.report import write_report

__all__ = ["write_report"]
