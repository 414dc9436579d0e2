"""Building a network in less time than Keras takes by itself, with the same result."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from keras_bottleneck import keras_private

# Pairs of numbers that are drawn at a time: few enough to stay in the processor's cache.
PAIRS = 2**14


@contextmanager
def quick_variables() -> Iterator[None]:
    """TensorFlow names the variables that are made inside without the scopes of their layers.

    It compiles the operation that makes a variable anew for each name, which takes longer than
    all the rest of the variable. Keras's own names and paths, which files use, stay as they are.

    Also a decorator, of a function that builds a model.
    """
    if keras.config.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    def outside_of_scopes(create: Any, **arguments: Any) -> Any:
        with tf.name_scope(""):
            return create(**arguments)

    with tf.variable_creator_scope(outside_of_scopes):
        yield


class HeNormal(keras.initializers.VarianceScaling):
    """He et al. 2015, "Delving deep into rectifiers", fan-out.

    On TensorFlow the numbers come from NumPy, in a third of the time. Files name the stock class,
    so that they can be loaded without this package.
    """

    def __init__(self, seed: int | None = None) -> None:
        # Fan-out is right for depthwise kernels too: Keras counts their fan-in over all channels,
        # of which each output sees only one.
        super().__init__(2.0, "fan_out", "untruncated_normal", seed)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "HeNormal":
        """The initializer that `get_config` described."""
        return cls(config["seed"])

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """A kernel of the given shape."""
        if not self._can_draw(dtype):
            return super().__call__(shape, dtype)
        fan_out = math.prod(shape[:-2]) * shape[-1]
        return keras.ops.convert_to_tensor(normal(shape, math.sqrt(2.0 / fan_out), self.seed))

    def _can_draw(self, dtype: Any) -> bool:
        if keras.config.backend() != "tensorflow" or not isinstance(self.seed, int):
            return False
        import tensorflow as tf

        # Inside a graph, the numbers would be a constant of it.
        return tf.executing_eagerly() and keras.backend.standardize_dtype(dtype) == "float32"


keras_private.write_as(HeNormal, keras.initializers.VarianceScaling)


def normal(shape: Sequence[int], deviation: float, seed: int) -> np.ndarray[Any, Any]:
    """Normally distributed numbers of float32 around zero.

    Source: Box and Muller 1958, which, unlike rejection, is vectorized.

    Args:
        shape: That of the array.
        deviation: The standard deviation.
        seed: The same numbers come from the same seed.
    """
    generator = np.random.Generator(np.random.SFC64(seed))
    count = math.prod(shape)
    values = np.empty(count + count % 2, np.float32)
    for start in range(0, len(values), 2 * PAIRS):
        cosines, sines = np.split(values[start : start + 2 * PAIRS], 2)
        radius, angle = (generator.random(len(sines), np.float32) for _ in range(2))
        # Above zero, where the logarithm is finite.
        np.log(np.subtract(1.0, radius, out=radius), out=radius)
        radius *= -2.0 * deviation**2
        np.sqrt(radius, out=radius)
        angle *= 2.0 * math.pi
        np.multiply(np.cos(angle, out=cosines), radius, out=cosines)
        np.multiply(np.sin(angle, out=sines), radius, out=sines)
    return values[:count].reshape(shape)
