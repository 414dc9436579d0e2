"""`check`: what will not run on a device, before anything is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_bottleneck import checks, keras_private
from keras_bottleneck.analysis.cost import at_shape, cost
from keras_bottleneck.analysis.targets import TARGETS, Target, operator
from keras_bottleneck.console import WIDTH, Printable
from keras_bottleneck.graph.cast import in_float32
from keras_bottleneck.keras_private import Call
from keras_bottleneck.quantization.primitive import primitive
from keras_bottleneck.quantization.quantizers import is_quantized

# Layers whose channels are a choice of the network's author.
CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Conv2DTranspose)


@dataclass(frozen=True)
class Finding:
    """One sentence about one layer."""

    layer: str
    message: str


@dataclass(frozen=True)
class CheckReport(Printable):
    """What `check` found; printing it shows a table.

    Attributes:
        model: The model's name.
        target: Which row of `TARGETS` it was checked for.
        problems: What will not run there, or not fit.
        advice: What will run, but could run better.
        peak_bytes: The most bytes of activations that exist at the same time, as `cost` counts
            them, in the target's dtype.
        memory: The budget, in bytes; None where none was given.
    """

    model: str
    target: str
    problems: tuple[Finding, ...]
    advice: tuple[Finding, ...]
    peak_bytes: int
    memory: int | None

    def __rich__(self) -> Any:
        from rich.table import Table

        row = TARGETS[self.target]
        budget = "" if self.memory is None else f" of {self.memory / 1e6:.3g}"
        table = Table(title=f"{self.model} on {row.title}", min_width=WIDTH)
        table.caption = (
            f"{row.dtype} activations: {self.peak_bytes / 1e6:.3g}{budget} MB; by {row.source}"
        )
        table.add_column("layer", overflow="fold")
        table.add_column("finding")
        for finding in self.problems:
            table.add_row(finding.layer, f"problem: {finding.message}")
        for finding in self.advice:
            table.add_row(finding.layer, f"advice: {finding.message}")
        if not self.problems and not self.advice:
            table.add_row("", "no problem found")
        return table


def check(
    model: keras.Model,
    target: str,
    *,
    input_shape: Sequence[Any] | None = None,
    memory: int | None = None,
) -> CheckReport:
    """Look for what will not run, or not run well, on a device: on the network, not on a file.

    The network is brought into the operators that the files of this package have: folded,
    without what only training needs, swish as a sigmoid and a product. What a device takes is
    in `TARGETS`, by its documentation; only its own compiler or runtime has the last word.

    Args:
        model: Any functional or built `Sequential` float model of images; it stays untouched.
        target: `"tflite-micro"`, `"ethos-u"`, `"edgetpu"`, `"xnnpack"`, `"webgpu"` or `"coreml"`.
        input_shape: The shape of one sample, where the model leaves sizes open.
        memory: The bytes that there are for activations.

    Returns:
        A `CheckReport`: print it, or ask it for `problems` and `advice`.

    Raises:
        ValueError: For a wrong argument, as `cost`; or if `model` is quantized already: `audit`
            reads its files.

    Example:
        >>> from keras_bottleneck.models import MobileNetV2
        >>> report = check(MobileNetV2(), "ethos-u", memory=1_000_000)
        >>> [(finding.layer, finding.message) for finding in report.problems]
        [('stage2_block1_depthwise_conv', '1,505,280 bytes are live, of 1,000,000')]
    """
    row = TARGETS[checks.one_of("target", target, TARGETS)]
    budget = None if memory is None else checks.integer("memory", memory)
    static = at_shape(model, input_shape)
    if is_quantized(static):
        raise checks.reject("model", model, "a float model, before `quantize`")
    network = primitive(in_float32(static))
    report = cost(network)
    peak = report.peak_bytes(row.dtype)
    problems, advice = [], []
    for call in keras_private.calls(network):
        problems += _problems(call, row)
        advice += _advice(call, row)
    if budget is not None and peak > budget:
        problems.append(Finding(report.peak.name, f"{peak:,} bytes are live, of {budget:,}"))
    return CheckReport(model.name, target, tuple(problems), tuple(advice), peak, budget)


def _problems(call: Call, row: Target) -> list[Finding]:
    name, kind = call.operation.name, type(call.operation).__name__
    builtin = operator(call.operation)
    if builtin is None:
        return [Finding(name, f"{kind} has no built-in operator there: {row.otherwise}")]
    if builtin and builtin not in row.operators:
        return [Finding(name, f"there is no {builtin}: {row.otherwise}")]
    messages = [limit(call) for limit in row.limits]
    return [
        Finding(name, f"it {message}: {row.otherwise}")
        for message in messages
        if message is not None
    ]


def _advice(call: Call, row: Target) -> list[Finding]:
    channels = call.outputs[0].shape[-1]
    if not isinstance(call.operation, CONVOLUTIONS) or channels % row.channels == 0:
        return []
    whole = -(-channels // row.channels) * row.channels
    message = f"its {channels} channels cost as many as {whole}: multiples of {row.channels} fit"
    return [Finding(call.operation.name, message)]
