"""Parallel convolutions of one tensor, summed: merged into a single convolution."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from keras_bottleneck import keras_private
from keras_bottleneck.graph.rebuild import Copies, copied, rebuild
from keras_bottleneck.graph.wiring import Wiring, plainly_linear, same_padding
from keras_bottleneck.keras_private import Call

Array = np.ndarray[Any, Any]
Layer = keras.layers.Layer


@dataclass(frozen=True)
class Window:
    """Where the taps of a kernel lie along one axis of the tensor that it reads.

    Attributes:
        first: Position of the first tap, counted from the output's position times `stride`.
        taps: How many there are.
        step: From one tap to the next.
        stride: From one output to the next.
        extent: What tells how many outputs there are: their number, or, where the size of the
            image is unknown, by how much it outgrows the kernel.
    """

    first: int
    taps: int
    step: int
    stride: int
    extent: int

    def offset(self, larger: "Window") -> int | None:
        """The tap of `larger` at which the taps of this window begin; None if not all are there."""
        offset, rest = divmod(self.first - larger.first, larger.step)
        same = self.stride == larger.stride and self.extent == larger.extent
        aligned = rest == 0 and (self.taps == 1 or self.step == larger.step)
        return offset if same and aligned and 0 <= offset <= larger.taps - self.taps else None


@dataclass(frozen=True)
class Branch:
    """A convolution of `source` (with zeros around it) that makes `output`, for a sum alone."""

    layer: Any
    source: Any
    output: Any
    windows: tuple[Window, Window]

    @property
    def depthwise(self) -> bool:
        """Whether each output sees a single channel."""
        return isinstance(self.layer, keras.layers.DepthwiseConv2D)

    @property
    def taps(self) -> int:
        """Pixels under the kernel."""
        return self.windows[0].taps * self.windows[1].taps


def merge_parallel(model: keras.Model) -> keras.Model:
    """`model` with sums of parallel convolutions as one convolution each.

    Merged are the terms of a sum that are all convolutions of the same tensor (`Conv2D` or
    `DepthwiseConv2D`, 1x1 ones included, which is what `fold` leaves of a lone batch norm), where
    one of the kernels covers all others: at equal stride, every tap of the others is one of
    its own. Everything else stays: what is summed with another tensor's convolution, with an
    activation between, read elsewhere, called twice, or of other groups.

    Args:
        model: A flat functional model; it stays untouched.

    Returns:
        A functional model that computes what `model` computes, up to rounding; `model` itself
        where there is nothing to merge. A merged convolution has the name of that with the
        largest kernel.

    Source: Ding et al. 2019, "ACNet", section 3.3; Ding et al. 2021, "RepVGG", section 3.3.
    """
    merger = _Merger(model)
    return rebuild(model, merger.visit) if merger.branches else model


class _Merger:
    """Finds the sums that are one convolution; then replays the calls."""

    def __init__(self, model: keras.Model) -> None:
        self.copies = Copies()
        self.wiring = Wiring(model)
        self.branches: dict[int, Sequence[Branch]] = {}  # by the layer that takes them in
        self.holders: dict[int, Branch] = {}  # by the tensor that the sum has made
        self.absorbed: set[int] = set()
        self.merged: dict[int, Any] = {}  # by the tensor that the holder has made
        # The last sum first: a + b + c is a sum of two terms, one of them a sum itself.
        for call in reversed(self.wiring.calls):
            if _is_sum(call) and id(call.outputs[0]) not in self.absorbed:
                self._plan(call)

    def _plan(self, call: Call) -> None:
        """Merge the terms of a sum if each of them can be a part of one of them."""
        total, inside = call.outputs[0], list(self._inside(call))
        terms = [tensor for tensor in inside if self._inner_sum(tensor) is None]
        candidates = [self._branch(term) for term in terms if _alike(term, total)]
        branches = [branch for branch in candidates if branch is not None]
        holder = _holder(branches) if len(branches) == len(terms) else None
        if holder is None:
            return
        self.branches[id(holder.layer)] = branches
        self.holders[id(total)] = holder
        self.absorbed.update(id(tensor) for tensor in inside)
        self.absorbed.remove(id(holder.output))

    def _inside(self, call: Call) -> Iterator[Any]:
        """The terms of a sum and the sums inside it."""
        for tensor in call.inputs:
            yield tensor
            maker = self._inner_sum(tensor)
            if maker is not None:
                yield from self._inside(maker)

    def _inner_sum(self, tensor: Any) -> Call | None:
        maker = self.wiring.maker(tensor)
        inner = maker is not None and _is_sum(maker) and self.wiring.only_reader(tensor)
        return maker if inner else None

    def _branch(self, tensor: Any) -> Branch | None:
        """The convolution that made `tensor`, if nothing else depends on it."""
        call = self.wiring.maker(tensor)
        if call is None or self.wiring.only_reader(tensor) is None:
            return None
        layer = call.operation
        if not _is_convolution(layer) or len(self.wiring.calls_of[id(layer)]) > 1:
            return None
        source, pads = self._padded(call.inputs[0])
        windows = [_window(layer, axis, source.shape[1 + axis], pads[axis]) for axis in range(2)]
        if windows[0] is None or windows[1] is None:
            return None
        return Branch(layer, source, tensor, (windows[0], windows[1]))

    def _padded(self, tensor: Any) -> tuple[Any, list[tuple[int, int]]]:
        """What `tensor` is with zeros around it, and how many before and after it on each axis."""
        pads = [(0, 0), (0, 0)]
        maker = self.wiring.maker(tensor)
        while maker is not None and _is_zero_padding(maker.operation):
            added = maker.operation.padding
            pads = [(a + c, b + d) for (a, b), (c, d) in zip(pads, added, strict=True)]
            tensor = maker.inputs[0]
            maker = self.wiring.maker(tensor)
        return tensor, pads

    def visit(self, call: Call, args: Any, kwargs: Any) -> Any:
        output = call.outputs[0]
        if id(output) in self.holders:
            return self.merged[id(self.holders[id(output)].output)]
        if id(output) in self.absorbed:
            return keras_private.tensors_in(args, kwargs)[0]
        branches = self.branches.get(id(call.operation))
        if branches is None:
            return self.copies.call(call.operation, args, kwargs, copied)
        make = partial(_merged, branches=branches)
        self.merged[id(output)] = self.copies.call(call.operation, args, kwargs, make)
        return self.merged[id(output)]


def _is_sum(call: Call) -> bool:
    """Whether `call` adds tensors: the layer, or the bare operation behind `+`."""
    kind = type(call.operation)
    bare = kind.__name__ == "Add" and not isinstance(call.operation, Layer)
    return (kind is keras.layers.Add or bare) and len(call.inputs) > 1


def _is_convolution(layer: Any) -> bool:
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    return type(layer) in kinds and plainly_linear(layer)


def _is_zero_padding(layer: Any) -> bool:
    return type(layer) is keras.layers.ZeroPadding2D and layer.data_format == "channels_last"


def _alike(tensor: Any, other: Any) -> bool:
    """Whether a sum of the two has no need to broadcast or cast."""
    return tuple(tensor.shape) == tuple(other.shape) and tensor.dtype == other.dtype


def _window(layer: Any, axis: int, size: int | None, pads: tuple[int, int]) -> Window | None:
    """The window of a convolution; None where it would depend on the unknown size of an image."""
    taps, step, stride = (
        values[axis] for values in (layer.kernel_size, layer.dilation_rate, layer.strides)
    )
    before, after = pads
    span = (taps - 1) * step + 1
    if layer.padding == "same":
        if stride > 1 and span > 1 and size is None:
            return None
        # As much as the last window needs; without stride that is the same for all sizes.
        padded = 1 if size is None else size + before + after
        first, last = same_padding(padded, taps, stride, step)
        before, after = before + first, after + last
    spare = before + after - span
    extent = spare if size is None else (size + spare) // stride + 1
    return Window(-before, taps, step, stride, extent)


def _holder(branches: Sequence[Branch]) -> Branch | None:
    """The branch whose kernel can take in all others; None where there is none."""
    # A depthwise kernel has no room for what mixes channels.
    holder = max(branches, key=lambda branch: (not branch.depthwise, branch.taps))
    return holder if all(_fits(branch, holder) for branch in branches) else None


def _fits(branch: Branch, holder: Branch) -> bool:
    layer, other = branch.layer, holder.layer
    if branch.depthwise:
        # A depthwise kernel becomes the diagonal of one that mixes channels.
        channels = holder.depthwise or layer.depth_multiplier == 1
    else:
        channels = layer.groups == other.groups
    return (
        channels
        and branch.source is holder.source
        and layer.compute_dtype == other.compute_dtype
        and None not in _offsets(branch, holder)
    )


def _offsets(branch: Branch, holder: Branch) -> list[int | None]:
    pairs = zip(branch.windows, holder.windows, strict=True)
    return [window.offset(larger) for window, larger in pairs]


def _merged(layer: Any, args: Any, kwargs: Any, branches: Sequence[Branch]) -> tuple[Any, Any]:
    """A copy of `layer`, one of the `branches`, with the kernels and biases of all."""
    holder = next(branch for branch in branches if branch.layer is layer)
    copy = type(layer).from_config({**layer.get_config(), "use_bias": True})
    output = copy(*args, **kwargs)
    kernel, bias = (np.zeros(weight.shape) for weight in copy.get_weights())
    for branch in branches:
        own, *own_bias = (weight.astype(np.float64) for weight in branch.layer.get_weights())
        if branch.depthwise and not holder.depthwise:
            own = _diagonal(own, layer.groups)
        row, column = _offsets(branch, holder)
        kernel[row : row + own.shape[0], column : column + own.shape[1]] += own
        bias += sum(own_bias)
    copy.set_weights([kernel, bias])
    return copy, output


def _diagonal(kernel: Array, groups: int) -> Array:
    """A depthwise kernel (height, width, channels, 1) as that of a convolution with `groups`."""
    height, width, channels, _ = kernel.shape
    inputs = channels // groups
    full = np.zeros((height, width, inputs, channels))
    outputs = np.arange(channels)
    full[:, :, outputs % inputs, outputs] = kernel[..., 0]
    return full
