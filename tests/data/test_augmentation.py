import random

import keras
import numpy as np
import pytest

from keras_bottleneck.data import digits, image_folder
from keras_bottleneck.data.augmentation import Augmenter
from keras_bottleneck.data.named_augmentations import AUGMENTATIONS

tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")


def batches(dataset):
    return [(images.numpy(), labels.numpy()) for images, labels in dataset]


def images_of(folder, augment, epochs=1, seed=0):
    """The training images of every epoch, in 0..255, cached so that only augmentation differs."""
    train = image_folder(folder, 16, batch_size=7, augment=augment, seed=seed, cache=True).train
    return [np.concatenate([i for i, _ in batches(train)]) * 255 for _ in range(epochs)]


AUGMENTS = [*((name,) for name in AUGMENTATIONS), ("flip", "crop", "mixup")]


def augmented(name, images, labels=None, batch=8, first=0):
    """Images (N, H, W, C) in 0..255 and one-hot labels, augmented from the batch `first` on."""
    rows = np.eye(len(images), dtype="float32") if labels is None else labels
    data = tf.data.Dataset.from_tensor_slices((images.astype("float32"), rows)).batch(batch)
    seed, skipped = tf.constant(5, tf.int64), tf.constant(first, tf.int64)
    found = batches(Augmenter((name,), images.shape[-1]).apply(data.skip(first), seed, skipped))
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))


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


@pytest.mark.parametrize("name", ["resized_crop", "rotation", "jitter", "erasing", "cutmix"])
def test_a_batch_is_augmented_alike_wherever_the_reading_begins(smooth_image, name):
    images = np.stack([smooth_image(np.random.default_rng(i), 12, 12) for i in range(12)])
    whole, rows = augmented(name, images, batch=4)
    assert not np.array_equal(whole, images)
    later, later_rows = augmented(name, images, batch=4, first=2)
    np.testing.assert_array_equal(later, whole[8:])
    np.testing.assert_array_equal(later_rows, rows[8:])


def test_resized_crop_keeps_a_quarter_at_least():
    ramp = np.broadcast_to(np.arange(64.0)[None, None, :, None], (32, 64, 64, 3))
    steps = np.diff(augmented("resized_crop", ramp)[0], axis=2)
    # A ramp stays one; its slope is the share of the width.
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1, :1], steps.shape), atol=1e-3)
    widths = steps[:, 0, 0, 0]
    assert 0.25**0.5 * 0.75**0.5 - 1e-4 <= widths.min() < 0.7 < widths.max() <= 1 + 1e-4


def test_jitter_leaves_grey_grey_and_draws_for_each_image():
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.integers(60, 190, (8, 6, 6, 1)), 3, axis=-1)
    changed, _ = augmented("jitter", grey)
    np.testing.assert_allclose(changed[..., 0], changed[..., 2], atol=1e-2)
    assert len({round(float(one)) for one in (changed - grey).mean(axis=(1, 2, 3))}) > 4
    coloured, _ = augmented("jitter", rng.integers(0, 256, (8, 6, 6, 3)))
    assert coloured.min() >= 0 and coloured.max() <= 255


def test_erasing_fills_a_rectangle_in_half_of_the_images():
    images = np.full((64, 16, 16, 3), 100.0)
    changed = (augmented("erasing", images)[0] != images).any(axis=-1)
    erased = changed.any(axis=(1, 2))
    assert 20 < erased.sum() < 44
    for one in changed[erased]:
        rows, columns = one.any(axis=1), one.any(axis=0)
        assert one.sum() == rows.sum() * columns.sum(), "no rectangle"
        assert one.mean() < 0.5


def test_cutmix_pastes_a_rectangle_and_shares_the_label_by_its_area():
    images = np.broadcast_to(np.arange(16.0)[:, None, None, None] * 10, (16, 20, 20, 1))
    mixed, rows = augmented("cutmix", images, batch=16)
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
    shares = np.stack([(mixed == 10 * i).mean(axis=(1, 2, 3)) for i in range(16)], axis=1)
    np.testing.assert_array_equal(shares.sum(axis=1), 1)
    # The rectangle ends between pixels: a row and a column of 20 more or less.
    np.testing.assert_allclose(shares, rows, atol=0.1)
    assert (np.count_nonzero(shares, axis=1) == 2).sum() > 8


@pytest.mark.slow
def test_augmix_does_not_depend_on_random_numbers_of_others(smooth_image):
    images = np.stack([smooth_image(np.random.default_rng(i), 12, 12) for i in range(16)])
    found = []
    for seed in (1, 2):
        random.seed(seed)
        found.append(augmented("augmix", images, batch=4)[0])
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(augmented("augmix", images, batch=4, first=3)[0], found[0][12:])
    assert 1 < np.abs(found[0] - images).mean() < 40


def test_function_that_changes_the_shape_is_refused(folder):
    with pytest.raises(ValueError, match="not compatible|not.*same|Incompatible|must be equal"):
        image_folder(folder, 16, augment=(lambda images: images[:, :8],))


def test_grey_images():
    for name in ("jitter", "rand_augment"):
        with pytest.raises(ValueError, match=f"^`augment` must be without '{name}'"):
            digits(channels=1, augment=("flip", name))
    names = ("flip", "crop", "resized_crop", "rotation", "erasing", "cutmix", "mixup")
    images, _ = next(iter(digits(channels=1, augment=names).train))
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
