import sys

import numpy as np
import pytest

from keras_bottleneck.data import digits

tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
pytest.importorskip("sklearn", reason="the scans come with scikit-learn")


def collect(dataset):
    batches = [(images.numpy(), labels.numpy()) for images, labels in dataset]
    return (np.concatenate(part) for part in zip(*batches, strict=True))


@pytest.mark.parametrize("channels", [1, 3])
def test_all_scans_are_there_once_and_stratified(channels):
    from sklearn.datasets import load_digits

    data = digits(8, 100, channels=channels)
    assert data.class_names == tuple("0123456789")
    assert data.train_size + data.validation_size == 1797
    assert data.preprocessing.input_shape == (8, 8, channels)
    train, train_labels = collect(data.train)
    images, labels = collect(data.validation)
    assert (len(train), len(images)) == (data.train_size, data.validation_size)
    assert abs(len(images) - 360) <= 5
    scans = load_digits()
    counts = np.bincount(scans.target)
    np.testing.assert_allclose(np.bincount(labels), counts * 0.2, atol=0.51)
    expected = np.round(scans.images * 255 / 16)[..., None].repeat(channels, -1) / 255
    table = {image.astype("float16").tobytes(): label for image, label in
             zip(expected, scans.target, strict=True)}  # fmt: skip
    found = [table[image.astype("float16").tobytes()] for image in (*train, *images)]
    np.testing.assert_array_equal(found, np.concatenate([train_labels, labels]))


def test_upscaling_is_that_of_preprocessing():
    small, large = digits(8), digits((20, 28))
    for (before, _), (after, _) in zip(small.validation, large.validation, strict=True):
        expected = [large.preprocessing(image * 255) for image in before.numpy()]
        np.testing.assert_allclose(after, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.full
def test_seed_decides_split_and_order():
    images = [next(collect(digits(8, seed=seed).train)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", -1),
        ("batch_size", 0),
        ("channels", 4),
        ("validation_split", 1),
        ("seed", "0"),
    ],
)
def test_wrong_arguments(name, value):
    with pytest.raises(ValueError, match=f"^`{name}` must be .*Received: {name}="):
        digits(**{name: value})


def test_missing_scikit_learn_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "keras-bottleneck\[demo\]"$'):
        digits()
