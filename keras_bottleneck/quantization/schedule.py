"""When the ranges of a quantized model follow the data while it is trained."""

from typing import Any

import keras

from keras_bottleneck import checks, keras_private
from keras_bottleneck.quantization.kernels import QuantizedKernel
from keras_bottleneck.quantization.quantizers import FakeQuantize


class QuantizationSchedule(keras.callbacks.Callback):
    """Lets ranges move in the first epochs of training a quantized model, then holds them.

    The ranges of activations follow their batches, and those of kernels their largest weight.
    Without this callback all stay as `quantize` left them, which is what a short fine-tuning at a
    small learning rate wants; longer ones move the values out of their ranges. Ranges that
    move keep the weights from settling: hold them in the last epochs.

    Args:
        moving_epochs: In how many epochs ranges move, counted from epoch 0 of `fit`.

    Raises:
        ValueError: If `moving_epochs` is no integer of at least 0; on `fit`, if the model holds
            no quantized layers.

    Source: Jacob et al. 2018, section 3.1; Krishnamoorthi 2018, section 3.2.2.

    Example:
        >>> schedule = QuantizationSchedule(moving_epochs=2)
        >>> quantized.fit(train, epochs=5, callbacks=[schedule])  # doctest: +SKIP
    """

    def __init__(self, moving_epochs: int = 1) -> None:
        super().__init__()
        self.moving_epochs = checks.integer("moving_epochs", moving_epochs, minimum=0)

    def on_train_begin(self, logs: Any = None) -> None:
        """Refuse a model without ranges, before an epoch is spent on it."""
        if not self._ranges():
            raise ValueError(
                "`QuantizationSchedule` must be given a model that `quantize` made. Received: "
                f"model {self.model.name!r}, in which no layer is quantized"
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Let the ranges move in this epoch, or hold them."""
        self._move(epoch < self.moving_epochs)

    def on_train_end(self, logs: Any = None) -> None:
        """Hold the ranges."""
        self._move(False)

    def _move(self, moving: bool) -> None:
        for layer in self._ranges():
            layer.moving.assign(float(moving))

    def _ranges(self) -> list[Any]:
        """The quantized layers of the model, also where it is part of another."""
        kinds = (FakeQuantize, QuantizedKernel)
        return [layer for layer in keras_private.sublayers(self.model) if isinstance(layer, kinds)]
