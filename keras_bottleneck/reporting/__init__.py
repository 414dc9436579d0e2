"""A training run as one HTML page."""

from keras_bottleneck.reporting.report import write_report

__all__ = ["write_report"]
