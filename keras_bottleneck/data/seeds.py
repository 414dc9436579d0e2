"""The seeds that a batch is augmented with."""

from typing import TYPE_CHECKING, Any

import keras

from keras_bottleneck.data.images import load_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf


class BatchSeeds(keras.random.SeedGenerator):
    """Seeds that are a function of the batch, not of what was drawn before.

    Keras's generator counts in a variable. tf.data prepares batches ahead and in parallel, so that
    the count which a batch meets depends on timing; this one makes a run repeatable.
    """

    def __init__(self) -> None:
        super().__init__(seed=0)
        self._batch_seed: Any = None
        self._draws = 0

    def start(self, batch_seed: "tf.Tensor") -> None:
        """To be called before a batch is augmented; `batch_seed` is a scalar integer tensor."""
        self._batch_seed, self._draws = batch_seed, 0

    def next(self, ordered: bool = True) -> "tf.Tensor":
        self._draws += 1
        return load_tensorflow().stack([self._batch_seed, self._draws])
