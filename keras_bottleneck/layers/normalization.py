"""Batch norm on TensorFlow's fused kernel."""

from typing import Any

import keras

FUSED_DTYPES = ("float32", "bfloat16", "float16")
# cuDNN accepts no smaller epsilon.
FUSED_MIN_EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch norm, trained on the fused kernel of the TensorFlow backend.

    Same arguments, weights and numbers as `keras.layers.BatchNormalization`. The fused kernel
    reads the activations once instead of several times; it serves channels-last images in
    training. Everything else (inference, other backends, ranks and axes, masks, renorm,
    synchronized statistics) is Keras's own code.

    Input and output shape: any; `(batch, height, width, channels)` for the fused kernel.

    Source: Ioffe and Szegedy 2015.

    Example:
        >>> layer = BatchNormalization(momentum=0.9, epsilon=1e-5)
        >>> layer(keras.Input((8, 8, 16))).shape
        (None, 8, 8, 16)
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize `inputs` with batch statistics in training, else with the moving ones."""
        if training and self.trainable and mask is None and self._can_fuse(inputs):
            return self._fused_training_call(inputs)
        return super().call(inputs, training=training, mask=mask)

    def _can_fuse(self, inputs: Any) -> bool:
        return (
            keras.config.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and not (self.renorm or self.synchronized)
            and self.epsilon >= FUSED_MIN_EPSILON
            and keras.backend.standardize_dtype(inputs.dtype) in FUSED_DTYPES
        )

    def _fused_training_call(self, inputs: Any) -> Any:
        import tensorflow as tf

        channels = (inputs.shape[-1],)
        gamma = tf.ones(channels) if self.gamma is None else tf.cast(self.gamma, tf.float32)
        beta = tf.zeros(channels) if self.beta is None else tf.cast(self.beta, tf.float32)
        fused = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=gamma,
            offset=beta,
            mean=tf.zeros((0,)),
            variance=tf.zeros((0,)),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel reports the variance with Bessel's correction; Keras keeps it without.
        pixels = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
        variance = fused.batch_variance * tf.maximum(pixels - 1.0, 1.0) / pixels
        self._move(self.moving_mean, fused.batch_mean)
        self._move(self.moving_variance, variance)
        return keras.ops.cast(fused.y, self.compute_dtype)

    def _move(self, moving: Any, batch: Any) -> None:
        value = keras.ops.cast(moving, "float32")
        moving.assign(value * self.momentum + batch * (1.0 - self.momentum))
