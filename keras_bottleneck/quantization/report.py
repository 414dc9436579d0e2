"""What calibration has measured: ranges, saturation, dead channels, noise."""

from dataclasses import dataclass
from typing import Any

from keras_bottleneck.console import Printable

SHOWN = 10


@dataclass(frozen=True)
class Range:
    """The range of one quantizer, and the part of the calibration values outside of it."""

    name: str
    low: float
    high: float
    saturated: float


@dataclass(frozen=True)
class Kernel:
    """One quantized kernel.

    `dead` of its `channels` outputs have a kernel that is zero everywhere, or nearly so. `sqnr` is
    the ratio in dB of the power of its outputs to that of their error on the calibration images.
    The error includes all rounding in the layers before it.
    """

    name: str
    channels: int
    dead: int
    sqnr: float


@dataclass(frozen=True)
class QuantizationReport(Printable):
    """What `quantize` measured; printing it shows a table.

    Attributes:
        images: How many calibration images were used.
        ranges: One `Range` for each quantizer, in order.
        kernels: One `Kernel` for each layer with a kernel, in order.
        in_float: Names of the layers that were left in float.
    """

    images: int
    ranges: tuple[Range, ...]
    kernels: tuple[Kernel, ...]
    in_float: tuple[str, ...]

    @property
    def saturated(self) -> float:
        """The largest part of a tensor's values that lay outside of its range."""
        return max((limits.saturated for limits in self.ranges), default=0.0)

    @property
    def dead_channels(self) -> int:
        """How many output channels, over all layers, are constant."""
        return sum(kernel.dead for kernel in self.kernels)

    def __rich__(self) -> Any:
        from rich.table import Table

        noisy = sorted(self.kernels, key=lambda kernel: kernel.sqnr)[:SHOWN]
        title = (
            f"{len(self.kernels)} kernels quantized on {self.images} images, at most "
            f"{self.saturated:.2%} of a tensor saturated, {self.dead_channels} dead channels"
        )
        table = Table(title=title)
        table.add_column("noisiest layers")
        table.add_column("SQNR", justify="right")
        table.add_column("dead channels", justify="right")
        for kernel in noisy:
            dead = f"{kernel.dead} of {kernel.channels}" if kernel.dead else ""
            table.add_row(kernel.name, f"{kernel.sqnr:.1f} dB", dead)
        if self.in_float:
            table.add_section()
            for name in self.in_float:
                table.add_row(name, "float", "")
        return table
