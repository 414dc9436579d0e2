"""The one place that simulates 8-bit numbers in floating point."""

from typing import Any

import keras

# TFLite's kernels want symmetric weights: codes -127..127. Activations use all 256 levels.
KERNEL_CODES = 127
ACTIVATION_STEPS = 255


def fake_quant(x: Any, low: Any, high: Any) -> Any:
    """`x` rounded to the nearest of 256 levels between `low` and `high`, zero among them.

    Args:
        x: A tensor of any shape; the result has its dtype, computed in float32.
        low: Scalar, at most 0.
        high: Scalar, at least 0 and above `low`.

    Source: Jacob et al. 2018, section 3; the gradient passes inside the range and stops outside.
    """
    rounded = keras.quantizers.fake_quant_with_min_max_vars(float32(x), low, high)
    return keras.ops.cast(rounded, x.dtype)


def fake_quant_kernel(kernel: Any, reach: Any, axis: int | None) -> Any:
    """`kernel` rounded to multiples of `reach / 127` between `-reach` and `reach`.

    Args:
        kernel: A float32 tensor.
        reach: Shape (channels,) where `axis` is given, else scalar; above 0.
        axis: The axis of `kernel` with a scale for each index; None for one scale.
    """
    if axis is not None and keras.config.backend() != "tensorflow":
        # There Keras broadcasts the range against the last axis, whatever `axis` says.
        shape = [1] * len(kernel.shape)
        shape[axis] = -1
        reach = keras.ops.reshape(reach, shape)
    return keras.quantizers.fake_quant_with_min_max_vars(
        float32(kernel), -reach, reach, narrow_range=True, axis=axis
    )


def step_of(low: Any, high: Any) -> Any:
    """The distance of two levels of an activation."""
    return (high - low) / ACTIVATION_STEPS


def round_straight(x: Any) -> Any:
    """`x` rounded to integers; the gradient passes as if it were not."""
    return x + keras.ops.stop_gradient(keras.ops.round(x) - x)


def float32(x: Any) -> Any:
    """`x` in the precision that grids are computed in."""
    return keras.ops.cast(x, "float32")
