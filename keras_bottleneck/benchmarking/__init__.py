"""Model -> a table of what each file and runtime makes of it: accuracy, size, time, memory."""

from keras_bottleneck.benchmarking.benchmark import benchmark
from keras_bottleneck.benchmarking.cells import Cell
from keras_bottleneck.benchmarking.report import BenchmarkReport
from keras_bottleneck.benchmarking.rows import ROWS

__all__ = ["ROWS", "BenchmarkReport", "Cell", "benchmark"]
