"""What int8 costs two networks with published weights, on real images."""

import keras
import numpy as np
import pytest

import keras_bottleneck as kb

from . import published

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:quantize calibrates on 50 images"),
]
CALIBRATION = 300


def right(model, images, labels):
    """How many images of 2,000 are classified right."""
    return int(np.sum(model.predict(images, batch_size=100, verbose=0).argmax(-1) == labels))


@pytest.mark.full
def test_resnet20_keeps_its_accuracy():
    images, _ = published.cifar("train")
    test = published.cifar("test")
    model = published.resnet20()
    exact = right(model, *test)
    after = right(kb.quantize(model, images[:CALIBRATION]), *test)
    print(f"of {len(test[1])} test images right: float {exact}, int8 {after}")
    assert after >= exact - 6  # 0.3 points


@pytest.mark.full
def test_an_epoch_of_training_gives_resnet20_all_of_it_back():
    images, _ = published.cifar("train")
    test = published.cifar("test")
    model = published.resnet20()
    quantized = kb.quantize(model, images[:CALIBRATION])
    keras.utils.set_random_seed(0)
    schedule = kb.quantization.QuantizationSchedule(moving_epochs=1)
    distiller = kb.quantization.distill(quantized, model)
    distiller.fit(images, batch_size=64, epochs=1, callbacks=[schedule], verbose=0)
    tuned = right(quantized, *test)
    exact = right(model, *test)
    print(f"of {len(test[1])} test images right: float {exact}, trained {tuned}")
    assert tuned >= exact - 2  # 0.1 points


def hostile(model, generator):
    """`model` with each depthwise channel made up to 100 times smaller, and divided out again."""
    model = kb.fold(model)
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            project = model.get_layer(layer.name.replace("depthwise", "project"))
            kernel, bias = layer.get_weights()
            scale = 100 ** -generator.uniform(0, 1, kernel.shape[2])
            layer.set_weights([kernel * scale[:, None], bias * scale])
            kernel, bias = project.get_weights()
            project.set_weights([kernel / scale[:, None], bias])
    return model


@pytest.mark.full
def test_equalization_restores_a_network_that_one_scale_does_not_fit():
    images, _ = published.photos()
    agreement = {True: [], False: []}
    for seed, equalize in ((0, True), (1, True), (0, False)):
        model = hostile(published.mobilenet_v2(), np.random.default_rng(seed))
        answers = model.predict(images[1::2], batch_size=10, verbose=0).argmax(-1)
        quantized = kb.quantize(model, images[::2], equalize=equalize, rounding="adaptive")
        found = quantized.predict(images[1::2], batch_size=10, verbose=0).argmax(-1)
        agreement[equalize].append(float(np.mean(found == answers)))
    print("agreement with float, by whether channels were equalized:", agreement)
    assert min(agreement[True]) >= 0.95
    assert max(agreement[False]) < min(agreement[True])
