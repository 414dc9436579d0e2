"""A recomputed block trains to the very numbers of the block itself."""

import keras
import numpy as np
import pytest

from keras_bottleneck import layers

POLICIES = ("float32", "mixed_bfloat16")
MAKERS = {
    "bottleneck": lambda **k: layers.Bottleneck(4, 2, se_ratio=0.25, **k),
    "drop_path": lambda **k: layers.BasicBlock(8, drop_path=0.4, **k),
    "preactivated": lambda **k: layers.PreactivationBottleneck(4, conv_bias=True, **k),
    "inverted": lambda **k: layers.InvertedResidual(8, **k),
}


def network(make, remat, policy):
    keras.utils.set_random_seed(3)
    image = keras.Input((9, 10, 3))
    x = layers.ConvNormAct(8, dtype=policy)(image)
    for number in range(2):
        block = make(dtype=policy, name=f"block{number}")
        x = layers.Remat(block, dtype=policy)(x) if remat else block(x)
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    return keras.Model(image, keras.layers.Dense(2)(pooled))


def trained_for_two_epochs(model, x, y, eager):
    # As they are written down: XLA is free to fuse, and so to round, the two programs otherwise.
    jit = "auto" if keras.config.backend() == "jax" else False
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=eager, jit_compile=jit)
    history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    return history.history["loss"]


CASES = [(name, policy, False) for name in MAKERS for policy in POLICIES]
CASES += [(name, "float32", True) for name in ("bottleneck", "drop_path")]
if keras.config.backend() == "jax":
    # XLA compiles each of them for half a minute.
    CASES = [("drop_path", "float32", False), ("inverted", "mixed_bfloat16", False)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "policy", "eager"), CASES)
@pytest.mark.full
def test_losses_weights_and_statistics_are_the_same(name, policy, eager, noise, as_array):
    x, y = noise(8, 9, 10, 3), noise(8, 2, seed=1)
    plain, again = (network(MAKERS[name], remat, policy) for remat in (False, True))
    before = [as_array(variable) for variable in plain.variables]
    losses = [trained_for_two_epochs(model, x, y, eager) for model in (plain, again)]
    # On TensorFlow to the last bit; jax compiles two programs, which may round differently.
    exact = keras.config.backend() != "jax"
    tolerance = 0 if exact else 1e-5 if policy == "float32" else 2e-2
    np.testing.assert_allclose(losses[1], losses[0], rtol=tolerance)
    for one, other, old in zip(plain.variables, again.variables, before, strict=True):
        found, wanted = as_array(other), as_array(one)
        np.testing.assert_allclose(found, wanted, atol=tolerance, err_msg=one.path)
        assert (wanted != old).any(), one.path


def test_it_is_transparent(noise, trained, max_difference):
    from keras_bottleneck.graph import flatten

    model = trained(network(MAKERS["bottleneck"], True, "float32"))
    flat, x = flatten(model), noise(2, 9, 10, 3)
    assert max_difference(flat(x), model(x)) == 0.0
    assert flat.get_layer("block1_spatial_conv").kernel.shape == (3, 3, 4, 4)
    assert not [layer for layer in flat.layers if isinstance(layer, layers.Remat)]


def test_it_wants_a_layer():
    with pytest.raises(ValueError, match="^`layer` must be a Keras layer. Received: layer='conv'"):
        layers.Remat("conv")
