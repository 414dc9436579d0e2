"""The layers with kernels, as int8 runtimes compute them: kernel and bias on integer grids."""

from typing import Any

import keras
import numpy as np

from keras_bottleneck.quantization.fake_quant import (
    KERNEL_CODES,
    fake_quant_kernel,
    float32,
    round_straight,
)
from keras_bottleneck.quantization.pairs import (
    LARGEST_SUM,
    codes_without_overflow,
    largest_sum,
)

# A bias is an int32; the factor of two leaves room for what training does to it.
MAX_BIAS = 2.0**31 - 1
ROOM_FOR_BIAS = 2.0**30
ROOM_FOR_SUMS = KERNEL_CODES / LARGEST_SUM
# The floor of the TFLite converter itself.
SMALLEST_REACH = 5e-7


class QuantizedKernel(keras.layers.Layer):
    """What quantized layers share: each is called with its input and the step of that input.

    `reach` is the largest value that the int8 kernel holds: one for each output channel where
    the converter can take that, else a scalar. Its step is `reach / 127`.

    Args:
        *args: Those of the stock layer.
        reduce_range: Whether no two neighbouring codes overflow on x86 processors without VNNI
            (see `pairs`). Layers whose products are not added in pairs have no need of it.
        **kwargs: Those of the stock layer.

    Attributes:
        CHANNEL_AXIS: The axis of the kernel that counts output channels.
        INPUT_AXIS: The axis of the kernel that counts input channels.
        PER_CHANNEL: Whether each output channel has a reach of its own.
        IN_PAIRS: Whether x86 processors without VNNI add its products in pairs.
    """

    CHANNEL_AXIS = -1
    INPUT_AXIS = -2
    PER_CHANNEL = True
    IN_PAIRS = False

    @property
    def kernel_axis(self) -> int | None:
        """The axis of the kernel with a scale for each index; None for one scale."""
        return self.CHANNEL_AXIS if self.PER_CHANNEL else None

    def __init__(self, *args: Any, reduce_range: bool = False, **kwargs: Any) -> None:
        # The step of the input must not be rounded to half precision.
        super().__init__(*args, autocast=False, **kwargs)
        self.reduce_range = reduce_range and self.IN_PAIRS

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        """A variable that stays in full precision when the network around computes in half."""
        return super().add_weight(*args, **{**kwargs, "autocast": False})

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of `input_shape`."""
        super().build(input_shape)
        self.reach = self.add_weight(
            shape=(self.kernel.shape[self.CHANNEL_AXIS],) if self.PER_CHANNEL else (),
            initializer="ones",
            dtype="float32",
            trainable=False,
            name="reach",
        )
        self.moving = self.add_weight(
            shape=(), initializer="zeros", dtype="float32", trainable=False, name="moving"
        )

    def call(self, x: Any, input_step: Any, training: bool | None = None) -> Any:
        """What the int8 operator makes of `x`, before its output is rounded."""
        if training:
            moved = self.reach + self.moving * (self.full_reach(input_step) - self.reach)
            self.reach.assign(keras.ops.stop_gradient(moved))
        kernel = keras.ops.cast(self.quantized_kernel(), self.compute_dtype)
        bias = keras.ops.cast(self.quantized_bias(input_step), self.compute_dtype)
        return self.linear(keras.ops.cast(x, self.compute_dtype), kernel) + bias

    def linear(self, x: Any, kernel: Any) -> Any:
        """The layer's operator without its bias."""
        raise NotImplementedError

    def quantized_kernel(self) -> Any:
        """The kernel on its int8 grid, as float32."""
        kernel = fake_quant_kernel(self.kernel, self.reach, self.kernel_axis)
        if not self.reduce_range:
            return kernel
        targets = keras.ops.clip(self._rows() / self.kernel_step, -KERNEL_CODES, KERNEL_CODES)
        codes = codes_without_overflow(targets) * self.kernel_step
        # The gradient passes as if nothing had been given up.
        return kernel + keras.ops.stop_gradient(keras.ops.reshape(codes, kernel.shape) - kernel)

    def freeze_kernel(self) -> None:
        """Put the kernel on its grid: converters look for the fake quantizer alone."""
        self.kernel.assign(self.quantized_kernel())
        self.reduce_range = False

    def quantized_bias(self, input_step: Any) -> Any:
        """The bias on its int32 grid, as float32."""
        step = input_step * self.kernel_step
        codes = keras.ops.clip(round_straight(float32(self.bias) / step), -MAX_BIAS, MAX_BIAS)
        return codes * step

    @property
    def kernel_step(self) -> Any:
        """The value of one code of the kernel: shape (channels,) or ()."""
        return self.reach / KERNEL_CODES

    def full_reach(self, input_step: Any) -> Any:
        """The reach that clips neither kernel nor bias, and leaves room for sums of neighbours.

        A reach of all channels leaves none: what few neighbours give up is less than what all
        others would lose.
        """
        rank = len(self.kernel.shape)
        others = [i for i in range(rank) if i != self.CHANNEL_AXIS % rank]
        largest = keras.ops.max(
            keras.ops.abs(float32(self.kernel)), axis=others if self.PER_CHANNEL else None
        )
        if self.reduce_range and self.PER_CHANNEL:
            largest = keras.ops.maximum(largest, largest_sum(self._rows()) * ROOM_FOR_SUMS)
        return keras.ops.maximum(largest, self.bias_floor(input_step))

    def _rows(self) -> Any:
        """The kernel as float32, (inputs, outputs), in the order of the multiplication."""
        return keras.ops.reshape(float32(self.kernel), (-1, self.kernel.shape[-1]))

    def bias_floor(self, input_step: Any) -> Any:
        """The reach that the bias needs to fit an int32.

        It matters in dead channels, whose kernels are all but zero: without it the TFLite
        converter rescales the kernel in its own way.
        """
        bias = keras.ops.abs(float32(self.bias))
        largest = bias if self.PER_CHANNEL else keras.ops.max(bias)
        floor = largest * (KERNEL_CODES / ROOM_FOR_BIAS) / input_step
        return keras.ops.maximum(floor, SMALLEST_REACH)

    def compute_output_spec(self, x: Any, input_step: Any, training: bool | None = None) -> Any:
        """The spec of the stock layer's output."""
        return keras.KerasTensor(self.compute_output_shape(x.shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "reduce_range": self.reduce_range}

    def save_own_variables(self, store: Any) -> None:
        """Put all variables in `store`: the stock layers only save those that they know of."""
        for variable in self._own():
            store[variable.name] = np.asarray(keras.ops.convert_to_numpy(variable))

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` stored."""
        for variable in self._own():
            variable.assign(store[variable.name])

    def _own(self) -> list[Any]:
        return [self.kernel, self.bias, self.reach, self.moving]


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class QuantizedConv2D(QuantizedKernel, keras.layers.Conv2D):
    """`keras.layers.Conv2D`, per output channel."""

    IN_PAIRS = True

    def linear(self, x: Any, kernel: Any) -> Any:
        """The convolution."""
        return self.convolution_op(x, kernel)


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class QuantizedDepthwiseConv2D(QuantizedKernel, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D`, per channel."""

    CHANNEL_AXIS = 2
    INPUT_AXIS = 2

    def linear(self, x: Any, kernel: Any) -> Any:
        """The depthwise convolution."""
        return keras.ops.depthwise_conv(
            x, kernel, self.strides, self.padding, dilation_rate=self.dilation_rate
        )


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class QuantizedConv2DTranspose(QuantizedKernel, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose`, per tensor: the converter takes no other."""

    CHANNEL_AXIS = 2
    INPUT_AXIS = 3
    PER_CHANNEL = False

    def linear(self, x: Any, kernel: Any) -> Any:
        """The transposed convolution."""
        return keras.ops.conv_transpose(
            x,
            kernel,
            self.strides,
            self.padding,
            self.output_padding,
            dilation_rate=self.dilation_rate,
        )


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class QuantizedDense(QuantizedKernel, keras.layers.Dense):
    """`keras.layers.Dense`, per tensor: the converter takes no other."""

    PER_CHANNEL = False
    IN_PAIRS = True

    def linear(self, x: Any, kernel: Any) -> Any:
        """The matrix product."""
        return keras.ops.matmul(x, kernel)


QUANTIZED: dict[type, type[QuantizedKernel]] = {
    keras.layers.Conv2D: QuantizedConv2D,
    keras.layers.DepthwiseConv2D: QuantizedDepthwiseConv2D,
    keras.layers.Conv2DTranspose: QuantizedConv2DTranspose,
    keras.layers.Dense: QuantizedDense,
}
