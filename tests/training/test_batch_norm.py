import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.layers import BatchNormalization
from keras_bottleneck.training import recalibrate_batch_norm
from keras_bottleneck.training.batch_norm import batch_norms, warn_of_momentum

RNG = np.random.default_rng(0)
IMAGES = (RNG.normal(size=(26, 6, 6, 3)) * [0.5, 2, 9] + [-3, 0, 50]).astype("float32")
NORMS = pytest.mark.parametrize("norm", [BatchNormalization, layers.BatchNormalization])


def network(norm=BatchNormalization, **arguments):
    """A batch norm on the images themselves, and one behind dropout and a convolution."""
    inputs = keras.Input((6, 6, 3))
    x = norm(name="first", **arguments)(inputs)
    x = layers.RandomFlip()(layers.Dropout(0.5)(x))
    x = norm(name="second", **arguments)(layers.Conv2D(4, 3, name="conv")(x))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


def statistics(layer):
    pair = (layer.moving_mean, layer.moving_variance)
    return [keras.ops.convert_to_numpy(one).copy() for one in pair]


@NORMS
def test_statistics_of_the_images_are_those_of_numpy(norm):
    model = network(norm)
    recalibrate_batch_norm(model, IMAGES, batch_size=8)  # the last batch has 2
    exact = IMAGES.astype("float64")
    mean, variance = statistics(model.get_layer("first"))
    np.testing.assert_allclose(mean, exact.mean((0, 1, 2)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(variance, exact.var((0, 1, 2)), rtol=1e-5)


@NORMS
def test_later_batch_norms_see_normalized_batches_and_no_dropout(norm):
    model = network(norm, momentum=0.999)
    recalibrate_batch_norm(model, IMAGES, batch_size=13)
    kernel = keras.ops.convert_to_numpy(model.get_layer("conv").kernel).astype("float64")
    seen = []
    for batch in (IMAGES[:13].astype("float64"), IMAGES[13:].astype("float64")):
        x = (batch - batch.mean((0, 1, 2))) / np.sqrt(batch.var((0, 1, 2)) + 1e-3)
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
        seen.append(np.einsum("bhwcij,ijco->bhwo", windows, kernel))
    mean, variance = statistics(model.get_layer("second"))
    np.testing.assert_allclose(mean, np.concatenate(seen).mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(variance, np.concatenate(seen).var((0, 1, 2)), rtol=1e-4)


def test_everything_else_stays_as_it_was():
    model = network(momentum=0.97)
    first, second = model.get_layer("first"), model.get_layer("second")
    first.trainable = False
    trained = [keras.ops.convert_to_numpy(one).copy() for one in model.trainable_variables]
    recalibrate_batch_norm(model, IMAGES)
    assert (first.trainable, second.trainable) == (False, True)
    assert (first.gamma.trainable, second.gamma.trainable) == (False, True)
    assert (first.momentum, second.momentum) == (0.97, 0.97)
    for before, after in zip(trained, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(before, keras.ops.convert_to_numpy(after))
    assert np.abs(statistics(first)[0][2] - 50) < 1  # frozen, and estimated all the same
    kept = statistics(first)
    model(IMAGES * 2, training=True)  # the layer's own call is back
    np.testing.assert_array_equal(statistics(first), kept)
    assert "call" not in vars(second)


def test_an_error_on_the_way_leaves_the_model_as_it_was():
    model = network()
    before = [statistics(layer) for layer in batch_norms([model])]

    def broken():
        yield IMAGES
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        recalibrate_batch_norm(model, broken())
    for layer, kept in zip(batch_norms([model]), before, strict=True):
        np.testing.assert_array_equal(statistics(layer), kept)
        assert (layer.momentum, layer.trainable) == (0.99, True)
        assert "call" not in vars(layer)


def test_statistics_that_are_not_numbers_are_repaired():
    model = network()
    model.get_layer("first").moving_mean.assign([np.nan, np.inf, 0.0])
    recalibrate_batch_norm(model, IMAGES)
    assert np.isfinite(statistics(model.get_layer("first"))).all()


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return IMAGES[index * 13 : index * 13 + 13], np.zeros(13)


def test_all_kinds_of_data_give_the_same_statistics():
    model, found = network(), []
    pairs = [Batches()[0], Batches()[1]]
    bare = [images for images, _ in pairs]
    arrays = (IMAGES, np.zeros(26))
    for data in (IMAGES, arrays, [*arrays], Batches(), iter(pairs), pairs, bare, iter(bare)):
        recalibrate_batch_norm(model, data, batch_size=13)
        found.append(statistics(model.get_layer("second")))
    for one in found[1:]:
        np.testing.assert_allclose(one, found[0], rtol=1e-6)


def test_tf_data_and_the_number_of_steps():
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    model = network()
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, np.zeros(26))).batch(13)
    with pytest.raises(ValueError, match="^`steps` must be given for data that never end"):
        recalibrate_batch_norm(model, dataset.repeat())
    recalibrate_batch_norm(model, dataset.repeat(), steps=1)
    mean, _ = statistics(model.get_layer("first"))
    np.testing.assert_allclose(mean, IMAGES[:13].mean((0, 1, 2)), rtol=1e-5)


def test_blocks_nested_models_and_shared_layers():
    backbone = kb.ResNet(
        "basic", (1,), filters=(4,), stem="cifar", include_top=False, drop_path=0.5
    )
    shared, inputs = BatchNormalization(name="shared"), keras.Input((6, 6, 3))
    x = shared(inputs)
    x = layers.Concatenate()([shared(-inputs), backbone(x)])
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    fresh = {layer.name: statistics(layer) for layer in batch_norms([model])}
    assert {"stem_bn", "stage1_block1_first_bn"} < set(fresh)
    recalibrate_batch_norm(model, IMAGES)
    for layer in batch_norms([model]):
        assert not np.allclose(statistics(layer), fresh[layer.name])
    mean, variance = statistics(shared)  # of the images and of their negatives
    np.testing.assert_allclose(mean, 0, atol=1e-4)
    np.testing.assert_allclose(variance, np.square(IMAGES, dtype="float64").mean((0, 1, 2)), 1e-5)


def test_wrong_data_is_refused():
    model = network()
    with pytest.raises(ValueError, match="^`data` must hold at least one batch. Received"):
        recalibrate_batch_norm(model, [])
    for data in ("images", 7, {"images": IMAGES}):
        with pytest.raises(ValueError, match="^`data` must be a dataset.*Received: data="):
            recalibrate_batch_norm(model, data)
    with pytest.raises(ValueError, match="^`model` must be a Keras model. Received: model=None"):
        recalibrate_batch_norm(None, IMAGES)
    for name in ("batch_size", "steps"):
        with pytest.raises(ValueError, match=f"^`{name}` must be an integer.*Received"):
            recalibrate_batch_norm(model, IMAGES, **{name: 0})


def test_model_without_batch_norm_is_left_alone():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.Dense(2)(inputs))
    before = model.get_weights()
    recalibrate_batch_norm(model, np.ones((2, 2)))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_slow_batch_norm_in_a_short_run_warns():
    model = network(momentum=0.999)
    with pytest.warns(UserWarning, match="'first' .* 0.999: after 200 steps, 82%") as found:
        warn_of_momentum([model], 200)
    suggested = float(str(found[0].message).split()[-1].rstrip("."))
    assert suggested**200 == pytest.approx(0.05, rel=0.2)


@pytest.mark.filterwarnings("error")
def test_batch_norm_that_forgets_in_time_does_not_warn():
    warn_of_momentum([network(momentum=0.9)], 50)
    warn_of_momentum([layers.Dense(2)], 1)
