import keras
import numpy as np
import pytest

from keras_bottleneck.data import digits, image_folder

tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")


def batches(dataset):
    return [(images.numpy(), labels.numpy()) for images, labels in dataset]


def images_of(folder, augment, epochs=1, seed=0):
    """The training images of every epoch, in 0..255, cached so that only augmentation differs."""
    train = image_folder(folder, 16, batch_size=7, augment=augment, seed=seed, cache=True).train
    return [np.concatenate([i for i, _ in batches(train)]) * 255 for _ in range(epochs)]


AUGMENTS = [("flip",), ("crop",), ("rand_augment",), ("mixup",), ("flip", "crop", "mixup")]


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("augment", AUGMENTS, ids="+".join)
def test_same_seed_same_images_although_batches_are_prepared_in_parallel(folder, augment):
    first, second = images_of(folder, augment, epochs=3), images_of(folder, augment, epochs=3)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, images_of(folder, augment, epochs=3, seed=1))


@pytest.mark.slow
def test_look_at_the_first_batch_does_not_cost_repeatability(folder):
    runs = []
    for _ in range(2):
        train = image_folder(folder, 16, batch_size=4, augment=("crop", "mixup")).train
        next(iter(train))
        runs.append(np.concatenate([images for images, _ in batches(train)]))
    np.testing.assert_array_equal(*runs)


@pytest.mark.parametrize("augment", AUGMENTS, ids="+".join)
def test_pixels_stay_pixels(folder, augment):
    (images,) = images_of(folder, augment)
    assert images.dtype == np.float32 and images.shape == (24, 16, 16, 3)
    assert images.min() >= -1e-3 and images.max() <= 255.001
    assert images.max() > 150


def test_flip_mirrors_half_of_the_images(folder):
    (plain,) = images_of(folder, ())
    (flipped,) = images_of(folder, ("flip",))
    same = np.isclose(flipped, plain, atol=1e-3).all(axis=(1, 2, 3))
    mirrored = np.isclose(flipped, plain[:, :, ::-1], atol=1e-3).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 3 <= mirrored.sum() <= 21


@pytest.mark.slow
def test_crop_shifts_by_whole_pixels_up_to_an_eighth(folder):
    (plain,) = images_of(folder, ())
    (moved,) = images_of(folder, ("crop",))
    shifts = set()
    for before, after in zip(plain, moved, strict=True):
        found = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if np.allclose(after[2:-2, 2:-2], before[2 + dy : 14 + dy, 2 + dx : 14 + dx], atol=1e-2)
        ]
        assert len(found) == 1
        shifts.update(found)
    assert len(shifts) > 5


def test_mixup_blends_images_and_labels_alike(folder):
    data = image_folder(folder, 16, batch_size=24, augment=("mixup",))
    plain = image_folder(folder, 16, batch_size=24)
    ((mixed, rows),) = batches(data.train)
    ((images, labels),) = batches(plain.train)
    assert rows.shape == (24, 3) and rows.dtype == np.float32
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
    assert (np.count_nonzero(rows > 1e-3, axis=1) == 2).any()
    onehot = np.eye(3)[labels]
    for blend, row, own, own_row in zip(mixed, rows, images, onehot, strict=True):
        # blend = w * own + (1 - w) * other, for one other image and the same w in its labels
        fits = False
        for other, other_row in zip(images, onehot, strict=True):
            span = ((own - other) ** 2).sum()
            weight = ((blend - other) * (own - other)).sum() / span if span else 1.0
            pixels = np.allclose(blend, weight * own + (1 - weight) * other, atol=1e-3)
            fits |= pixels and np.allclose(
                row, weight * own_row + (1 - weight) * other_row, atol=1e-2
            )
        assert fits


@pytest.mark.slow
def test_validation_is_left_alone_but_shares_the_label_kind(folder):
    plain = image_folder(folder, 16)
    mixed = image_folder(folder, 16, augment=("flip", "rand_augment", "mixup"))
    for (a, labels), (b, rows) in zip(
        batches(plain.validation), batches(mixed.validation), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(np.eye(3, dtype="float32")[labels], rows)


@pytest.mark.slow
def test_layers_and_functions_see_batches_of_pixels(folder):
    (plain,) = images_of(folder, ())
    layer = keras.layers.Rescaling(0.5)
    halved, inverted = images_of(folder, [layer])[0], images_of(folder, [lambda x: 255 - x])[0]
    np.testing.assert_allclose(halved, plain / 2, atol=1e-3)
    np.testing.assert_allclose(inverted, 255 - plain, atol=1e-3)
    (both,) = images_of(folder, [layer, lambda x: 255 - x])
    np.testing.assert_allclose(both, 255 - plain / 2, atol=1e-3)


def test_layers_run_as_in_training(folder):
    (plain,) = images_of(folder, ())
    (dropped,) = images_of(folder, [keras.layers.Dropout(0.5, seed=0)])
    assert 0.4 < (dropped == 0).mean() - (plain == 0).mean() < 0.6


@pytest.mark.slow
def test_label_mixing_layer_of_the_user_gets_the_labels(folder):
    for item in (keras.layers.MixUp(seed=1), keras.layers.CutMix(seed=1)):
        data = image_folder(folder, 16, augment=(item,))
        assert data.train.element_spec[1].shape == (None, 3)
        rows = np.concatenate([labels for _, labels in batches(data.train)])
        np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)


def test_function_that_changes_the_shape_is_refused(folder):
    with pytest.raises(ValueError, match="not compatible|not.*same|Incompatible|must be equal"):
        image_folder(folder, 16, augment=(lambda images: images[:, :8],))


def test_grey_images():
    with pytest.raises(ValueError, match="^`augment` must be without 'rand_augment'"):
        digits(channels=1, augment=("rand_augment",))
    images, _ = next(iter(digits(channels=1, augment=("flip", "crop", "mixup")).train))
    assert images.shape == (32, 32, 32, 1)


@pytest.mark.slow
def test_global_mixed_precision_does_not_reach_the_pixels(folder):
    (plain,) = images_of(folder, ("flip",))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        (same,) = images_of(folder, ("flip",))
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(plain, same)
