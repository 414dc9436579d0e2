"""Batch norm that reads the activations once: TensorFlow's fused kernel, one pass on jax."""

from typing import Any

import keras

FUSED_DTYPES = ("float32", "bfloat16", "float16")
# cuDNN accepts no smaller epsilon.
FUSED_MIN_EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch norm with the statistics of a batch in one pass.

    Same arguments, weights and numbers as `keras.layers.BatchNormalization`. On the TensorFlow
    backend it is the fused kernel, which TensorFlow merges at inference with the convolution
    before and the ReLU behind it. On the jax backend mean and variance are two sums over the same
    reading of the activations; Keras's variance waits for the mean. Both serve channels-last
    images. Everything else (other backends, ranks and axes, masks, renorm, synchronized
    statistics, a batch known to be a single image) is Keras's own code.

    Where tf.distribute divides a batch among replicas, the statistics are of the whole batch with
    or without `synchronized`, as they are on JAX: the number of devices changes no numbers.

    Input and output shape: any; `(batch, height, width, channels)` for the fast paths.

    Source: Ioffe and Szegedy 2015.

    Example:
        >>> layer = BatchNormalization(momentum=0.9, epsilon=1e-5)
        >>> layer(keras.Input((8, 8, 16))).shape
        (None, 8, 8, 16)
    """

    @property
    def synchronized(self) -> bool:
        """Whether the statistics are those of all replicas."""
        return self._synchronized or _among_replicas()

    @synchronized.setter
    def synchronized(self, value: bool) -> None:
        self._synchronized = value

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize `inputs` with batch statistics in training, else with the moving ones."""
        learns = training and self.trainable
        if mask is None and self._can_fuse(inputs):
            if learns:
                return self._fused_training_call(inputs)
            if training or inputs.shape[0] != 1:
                return self._fused(inputs, self.moving_mean, self.moving_variance).y
            # TensorFlow would merge it with the convolution before, for which oneDNN has no fast
            # kernel where the batch is known to be one image: up to thirty times as slow.
        if mask is None and learns and self._can_sum_once(inputs):
            return self._one_pass_training_call(inputs)
        return super().call(inputs, training=training, mask=mask)

    def _can_fuse(self, inputs: Any) -> bool:
        return (
            keras.config.backend() == "tensorflow"
            and self._is_plain(inputs)
            and self.epsilon >= FUSED_MIN_EPSILON
        )

    def _can_sum_once(self, inputs: Any) -> bool:
        return keras.config.backend() == "jax" and self._is_plain(inputs)

    def _is_plain(self, inputs: Any) -> bool:
        return (
            len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and not (self.renorm or self.synchronized)
            and keras.backend.standardize_dtype(inputs.dtype) in FUSED_DTYPES
        )

    def _fused(self, inputs: Any, mean: Any = (), variance: Any = ()) -> Any:
        """The results of the kernel, with the statistics of the batch where none are given."""
        import tensorflow as tf

        channels = (inputs.shape[-1],)
        gamma = tf.ones(channels) if self.gamma is None else self.gamma
        beta = tf.zeros(channels) if self.beta is None else self.beta
        mean, variance, gamma, beta = (
            tf.cast(values, tf.float32) for values in (mean, variance, gamma, beta)
        )
        return tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(inputs, self.compute_dtype),
            scale=gamma,
            offset=beta,
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=mean.shape == (0,),
        )

    def _fused_training_call(self, inputs: Any) -> Any:
        import tensorflow as tf

        fused = self._fused(inputs)
        # The kernel reports the variance with Bessel's correction; Keras keeps it without.
        pixels = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
        variance = fused.batch_variance * tf.maximum(pixels - 1.0, 1.0) / pixels
        self._move(self.moving_mean, fused.batch_mean)
        self._move(self.moving_variance, variance)
        return fused.y

    def _one_pass_training_call(self, inputs: Any) -> Any:
        ops = keras.ops
        # Sums of squares are exact enough where the values lie around zero.
        center = ops.cast(ops.stop_gradient(self.moving_mean), "float32")
        centered = ops.cast(inputs, "float32") - center
        mean = ops.mean(centered, axis=(0, 1, 2))
        variance = ops.mean(ops.square(centered), axis=(0, 1, 2)) - ops.square(mean)
        variance = ops.maximum(variance, 0.0)
        self._move(self.moving_mean, center + mean)
        self._move(self.moving_variance, variance)
        gamma, beta = (
            None if values is None else ops.cast(values, "float32")
            for values in (self.gamma, self.beta)
        )
        normalized = ops.batch_normalization(
            centered, mean, variance, axis=-1, offset=beta, scale=gamma, epsilon=self.epsilon
        )
        return ops.cast(normalized, self.compute_dtype)

    def _move(self, moving: Any, batch: Any) -> None:
        value = keras.ops.cast(moving, "float32")
        moving.assign(value * self.momentum + batch * (1.0 - self.momentum))


def _among_replicas() -> bool:
    """Whether this is computed by one replica of several."""
    if keras.config.backend() != "tensorflow":
        return False
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context is not None and context.num_replicas_in_sync > 1
