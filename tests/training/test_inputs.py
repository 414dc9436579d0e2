import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.image_model import ImageModel
from keras_bottleneck.training import Recipe, check_fit, check_range, finetune

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (8, 4, 4, 3)).astype("float32")
UNIT = kb.Preprocessing((4, 4))
SIGNED = kb.Preprocessing((4, 4), scale=1 / 127.5, mean=(1.0,))
STANDARD = kb.Preprocessing((4, 4), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
RAW = kb.Preprocessing((4, 4), scale=1.0)
CAFFE = kb.Preprocessing((4, 4), scale=1.0, mean=(104.0, 117.0, 124.0), color_order="bgr")
ALL = [UNIT, SIGNED, STANDARD, RAW, CAFFE]


@pytest.mark.parametrize("preprocessing", ALL)
@pytest.mark.filterwarnings("error")
def test_right_images_pass(preprocessing):
    images = preprocessing.normalize(PIXELS)
    check_range(images, preprocessing)
    check_range(images.astype("float16"), preprocessing)
    width = np.ptp(images)
    check_range(images + 0.3 * width, preprocessing)  # brighter than white, by augmentation
    check_range(preprocessing.normalize(PIXELS * 0), preprocessing)  # black


def test_uint8_passes_where_raw_pixels_are_expected():
    check_range(PIXELS.astype("uint8"), RAW)


@pytest.mark.parametrize("expected", [UNIT, SIGNED, STANDARD])
def test_raw_pixels_are_refused(expected):
    with pytest.raises(ValueError, match="^`train` must hold images with values from .* to 255$"):
        check_range(PIXELS, expected)


@pytest.mark.parametrize("given", [UNIT, SIGNED, STANDARD])
def test_normalized_images_are_refused_where_the_model_normalizes(given):
    with pytest.raises(ValueError, match="values from 0 to 255, pixels as they are. Received"):
        check_range(given.normalize(PIXELS), RAW)


@pytest.mark.parametrize(
    ("given", "expected"), [(SIGNED, UNIT), (STANDARD, UNIT), (STANDARD, SIGNED)]
)
def test_another_normalization_is_refused(given, expected):
    with pytest.raises(ValueError, match="^`train` must hold images .* Received: values from -"):
        check_range(given.normalize(PIXELS), expected)


def test_pixels_divided_twice_are_refused():
    with pytest.raises(ValueError, match="values from 0 to 1, pixels times 0.003922. Received"):
        check_range(PIXELS / 255 / 255, UNIT)


@pytest.mark.parametrize("expected", [SIGNED, STANDARD])
def test_pixels_divided_by_255_alone_are_warned_of(expected):
    with pytest.warns(UserWarning, match="looks like pixels divided by 255"):
        check_range(PIXELS / 255, expected)


def test_raw_pixels_are_warned_of_where_their_mean_is_to_be_subtracted():
    with pytest.warns(
        UserWarning, match="^`train` holds .*like pixels that nothing was subtracted"
    ):
        check_range(PIXELS, CAFFE)


def test_the_message_says_what_to_do_to_pixels():
    with pytest.raises(ValueError, match="times 0.003922, minus 0.485, 0.456, 0.406, divided by"):
        check_range(PIXELS, STANDARD)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(value):
    images = PIXELS / 255
    images[0, 0, 0, 0] = value
    with pytest.raises(ValueError, match="^`train` must hold images.*(nan|inf)"):
        check_range(images, UNIT)


def network(activation="softmax"):
    top = layers.Dense(3, activation=activation, name="top")
    return keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), top])


def test_recipe_looks_at_the_first_batch_of_a_model_that_says_what_it_expects():
    image = keras.Input((4, 4, 3))
    model = ImageModel(image, network()(image))
    model.preprocessing = UNIT
    with pytest.raises(ValueError, match="^`train` must hold images with values from 0 to 1"):
        Recipe(epochs=1).fit(model, (PIXELS, np.arange(8) % 3))


LABELS = np.arange(8) % 3


class Batches(keras.utils.PyDataset):
    """Two batches; only the first is looked at."""

    def __init__(self, images, labels):
        super().__init__()
        self.images, self.labels = images, labels

    def __len__(self):
        return 2

    def __getitem__(self, index):
        part = slice(4 * index, 4 * index + 4)
        return self.images[part], self.labels[part]


@pytest.mark.parametrize("kind", [lambda *arrays: arrays, Batches])
def test_validation_is_looked_at_like_training(kind):
    image = keras.Input((4, 4, 3))
    model = ImageModel(image, network()(image))
    model.preprocessing = UNIT
    model.compile(loss="sparse_categorical_crossentropy")
    right = (PIXELS / 255, LABELS)
    check_fit(model, right, kind(*right))
    for match, wrong in (
        ("^`validation` must hold images with values from 0 to 1", (PIXELS, LABELS)),
        ("^`validation` must have labels from 0 to 2 .*from 1 to 3", (PIXELS / 255, LABELS + 1)),
    ):
        for call in (check_fit, Recipe(epochs=1).fit, finetune):
            with pytest.raises(ValueError, match=match):
                call(model, right, kind(*wrong))


@pytest.mark.parametrize("activation", ["softmax", None])
@pytest.mark.parametrize("kind", ["SparseCategoricalCrossentropy", "CategoricalCrossentropy"])
def test_loss_that_does_not_fit_the_last_layer_is_refused(activation, kind):
    model, logits = network(activation), activation is None
    model.compile(loss=getattr(keras.losses, kind)(from_logits=logits))
    check_fit(model, (PIXELS, LABELS))
    model.compile(loss=getattr(keras.losses, kind)(from_logits=not logits))
    with pytest.raises(ValueError, match=f"^`from_logits` must be {logits} .*Received"):
        check_fit(model, (PIXELS, LABELS))


def test_loss_by_name_takes_probabilities():
    model = network(None)
    for name in ("sparse_categorical_crossentropy", "categorical_crossentropy"):
        model.compile(loss=name)
        with pytest.raises(ValueError, match="^`from_logits` must be True .*without activation"):
            check_fit(model, (PIXELS, LABELS))


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.sparse_categorical_crossentropy,
        keras.losses.categorical_crossentropy,
        keras.losses.binary_crossentropy,
        "binary_crossentropy",
        ["sparse_categorical_crossentropy"],
        {"top": "sparse_categorical_crossentropy"},
        {"top": keras.losses.sparse_categorical_crossentropy},
        [keras.losses.SparseCategoricalCrossentropy()],
    ],
)
def test_loss_in_every_form_takes_probabilities(loss):
    rows = np.eye(3)[LABELS]
    for activation in ("softmax", None):
        model = network(activation)
        model.compile(loss=loss)
        if activation:
            check_fit(model, (PIXELS, rows))
        else:
            with pytest.raises(
                ValueError, match="^`from_logits` must be True .*without activation"
            ):
                check_fit(model, (PIXELS, rows))


def test_sigmoid_and_binary_crossentropy_are_for_one_another():
    model, rows = network("sigmoid"), np.eye(3)[LABELS]
    for loss in ("binary_crossentropy", keras.losses.BinaryCrossentropy()):
        model.compile(loss=loss)
        check_fit(model, (PIXELS, rows))
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match="^`from_logits` must be False .*ends in a sigmoid"):
        check_fit(model, (PIXELS, rows))
    model.compile(loss="categorical_crossentropy")
    with pytest.raises(ValueError, match="^`model` must end in a softmax"):
        check_fit(model, (PIXELS, rows))


def test_losses_that_know_no_logits_are_left_alone():
    model = network("tanh")
    for loss in ("mse", keras.losses.MeanSquaredError(), lambda y, p: p, None):
        model.compile(loss=loss)
        check_fit(model, (PIXELS, LABELS))


def test_check_fit_looks_at_labels_and_pixels():
    model = network()
    model.compile(loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="labels from 0 to 2 .*Received: labels from 1 to 3"):
        check_fit(model, (PIXELS, LABELS + 1))
    with pytest.raises(ValueError, match="labels from 0 to 2 .*Received: labels from 1 to 3"):
        check_fit(model, (PIXELS, LABELS), (PIXELS, LABELS + 1))
    with pytest.raises(ValueError, match="^`train` must hold images"):
        check_fit(model, (PIXELS, LABELS), preprocessing=STANDARD)


class Endless(Batches):
    num_batches = None


class Unmeasured(Batches):
    __len__ = None


def test_a_dataset_without_end_is_no_validation():
    with pytest.raises(ValueError, match="^`validation` must be .*Received: an endless dataset"):
        Recipe(epochs=1).fit(network(), (PIXELS, LABELS), Endless(PIXELS, LABELS))
    for train in (Endless, Unmeasured):
        with pytest.raises(ValueError, match="^`steps_per_epoch` must be given"):
            Recipe(epochs=1).fit(network(), train(PIXELS, LABELS))


def test_images_one_by_one_are_refused():
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    single = tf.data.Dataset.from_tensor_slices((PIXELS, LABELS))
    model = network()
    model.compile(loss="sparse_categorical_crossentropy")
    wanted = r"^`train` must hold batches of images, \(None, 4, 4, 3\). Received: .* \(4, 4, 3\)"
    for fit in (Recipe(epochs=1).fit, check_fit):
        with pytest.raises(ValueError, match=wanted):
            fit(model, single)
    Recipe(epochs=1).fit(network(), single.batch(4))
