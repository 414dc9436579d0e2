"""Trains on one device and on two of this process, and prints how much that differs."""

import json

import keras
import numpy as np

if keras.config.backend() == "tensorflow":
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, halves)

import keras_bottleneck as kb


def network():
    keras.utils.set_random_seed(0)
    return kb.ResNet(
        "basic", (1,), filters=(4,), stem="cifar", classes=3, input_shape=(8, 8, 3), drop_path=0.0
    )


def refusal(fit, model):
    try:
        fit(model)
    except ValueError as error:
        return str(error)
    return None


rng = np.random.default_rng(0)
train = rng.normal(size=(40, 8, 8, 3)).astype("float32"), rng.integers(0, 3, 40)
validation = train[0][:10], train[1][:10]
recipe = kb.training.Recipe(epochs=2, batch_size=8, learning_rate=1e-2)

job = kb.distribution.initialize()
one = network()
alone = recipe.fit(one, train, validation).history
with job:
    two = network()
    together = job.fit(recipe, two, train, validation).history
    with_stock = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.BatchNormalization(name="stock"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    stock = refusal(lambda model: job.fit(recipe, model, train), with_stock)
    outside = refusal(lambda model: job.fit(recipe, model, train), one)
    odd = kb.training.Recipe(epochs=1, batch_size=5)
    batch = refusal(lambda model: job.fit(odd, model, train), two)

norms = [
    layer
    for layer in kb.keras_private.sublayers(two)
    if isinstance(layer, keras.layers.BatchNormalization)
]
differences = [
    np.abs(keras.ops.convert_to_numpy(a) - keras.ops.convert_to_numpy(b)).max()
    for a, b in zip(one.variables, two.variables, strict=True)
]
histories = [np.abs(np.subtract(alone[name], together[name])).max() for name in alone]
print(
    json.dumps(
        {
            "devices": job.devices,
            "weights": float(max(differences)),
            "history": float(max(histories)),
            "synchronized": [layer.get_config()["synchronized"] for layer in norms],
            "stock": stock,
            "outside": outside,
            "batch": batch,
        }
    )
)
