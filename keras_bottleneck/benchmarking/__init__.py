"""A model in every format, side by side: accuracy, size, time and memory."""

from keras_bottleneck.benchmarking.benchmark import benchmark
from keras_bottleneck.benchmarking.cells import Cell
from keras_bottleneck.benchmarking.report import BenchmarkReport
from keras_bottleneck.benchmarking.rows import ROWS

__all__ = ["ROWS", "BenchmarkReport", "Cell", "benchmark"]
