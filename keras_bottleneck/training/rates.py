"""Optimizers with a learning rate for each variable: discriminative fine-tuning."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_bottleneck import keras_private
from keras_bottleneck.training.muon import KernelMuon


class _RatePerVariable:
    """Multiplies the learning rate, and with it the weight decay, by a factor for each variable.

    Beside `keras.optimizers.MultiOptimizer`, which can be told to do the same, it stays one
    optimizer: with one schedule, one step counter, one running average, and a config that a
    .keras file can hold.

    Source: Howard & Ruder 2018, "Universal Language Model Fine-tuning", section 3.2.

    Args:
        rates: Factor for each variable, in the order of `model.trainable_variables`; None for 1.
        weight_decay: Decoupled, as in `Recipe`; variables with one axis do not decay.
        **kwargs: Those of the Keras optimizer.

    Raises:
        ValueError: In the first step, if there are not as many factors as variables. (Not before:
            a file whose model has thawed a part still loads and predicts.)
    """

    def __init__(
        self, rates: Sequence[float] | None = None, weight_decay: float = 0.0, **kwargs: Any
    ) -> None:
        # Keras's own decay knows one learning rate only.
        super().__init__(weight_decay=None, **kwargs)  # type: ignore[call-arg]
        self.rates = None if rates is None else tuple(float(rate) for rate in rates)
        self.decoupled_decay = float(weight_decay)

    def build(self, variables: Sequence[Any]) -> None:
        self.variable_count = len(variables)
        super().build(variables)  # type: ignore[misc]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        optimizer: Any = self
        rate = learning_rate
        if self.rates is not None:
            if len(self.rates) != self.variable_count:
                raise ValueError(
                    "`rates` must hold a factor for each trainable variable: compile the model "
                    f"again. Received: {len(self.rates)} factors for {self.variable_count} "
                    "variables"
                )
            rate = learning_rate * self.rates[keras_private.variable_index(optimizer, variable)]
        if self.decoupled_decay and len(variable.shape) > 1:
            decay = keras.ops.cast(rate * self.decoupled_decay, variable.dtype)
            optimizer.assign_sub(variable, variable * decay)
        super().update_step(gradient, variable, rate)  # type: ignore[misc]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()  # type: ignore[misc]
        rates = None if self.rates is None else list(self.rates)
        return {**config, "rates": rates, "weight_decay": self.decoupled_decay}


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class StagedSGD(_RatePerVariable, keras.optimizers.SGD):
    """`keras.optimizers.SGD` with a factor on the learning rate of each variable."""


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class StagedAdam(_RatePerVariable, keras.optimizers.Adam):
    """`keras.optimizers.Adam` with a factor on the learning rate of each variable.

    With a weight decay it is AdamW.
    """


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class StagedLion(_RatePerVariable, keras.optimizers.Lion):
    """`keras.optimizers.Lion` with a factor on the learning rate of each variable."""


@keras.saving.register_keras_serializable(package="keras_bottleneck")
class StagedMuon(_RatePerVariable, KernelMuon):
    """`KernelMuon` with a factor on the learning rate of each variable."""
