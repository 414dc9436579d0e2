"""What users pass as data, as batches: of every kind, in one pass."""

from itertools import islice

import keras
import numpy as np
import pytest

from keras_bottleneck.data.batches import batches_in, batches_of

IMAGES = np.arange(10, dtype="float32").reshape(5, 2)
LABELS = np.arange(5)


class Endless(keras.utils.PyDataset):
    num_batches = None

    def __getitem__(self, index):
        return np.full((2, 2), index)


class Loader:
    """An iterable with a length, as PyTorch's loader is."""

    def __len__(self):
        return 2

    def __iter__(self):
        return iter([(IMAGES[:3], LABELS[:3]), (IMAGES[3:], LABELS[3:])])


@pytest.mark.parametrize(
    ("data", "sizes"),
    [
        (IMAGES, [2, 2, 1]),
        ((IMAGES,), [2, 2, 1]),
        ((IMAGES, LABELS), [2, 2, 1]),
        ([IMAGES, LABELS], [2, 2, 1]),
        ((IMAGES, LABELS, np.ones(5)), [2, 2, 1]),
        ((IMAGES, LABELS, None), [2, 2, 1]),
        ([IMAGES[:3], IMAGES[3:]], [3, 2]),
        ([(IMAGES[:3], LABELS[:3]), (IMAGES[3:], LABELS[3:])], [3, 2]),
        (((IMAGES[:3], LABELS[:3]), (IMAGES[3:], LABELS[3:])), [3, 2]),
        ((IMAGES[:1], IMAGES[1:2], IMAGES[2:3], IMAGES[3:]), [1, 1, 1, 2]),
        (Loader(), [3, 2]),
        (Endless(), [2, 2, 2, 2]),
    ],
)
def test_every_kind_gives_its_images_in_order(data, sizes):
    batches = list(islice(batches_of("data", data, 2), 4))
    images = [batch[0] if isinstance(batch, (tuple, list)) else batch for batch in batches]
    assert [len(batch) for batch in images] == sizes
    if not isinstance(data, Endless):
        np.testing.assert_array_equal(np.concatenate(images), IMAGES)
        assert batches_in(data, 2) in (len(sizes), None)


@pytest.mark.parametrize("labels", [LABELS[:4], np.arange(6), 3.0])
def test_labels_of_another_number_are_refused_before_any_batch(labels):
    with pytest.raises(ValueError, match="^`data` must hold one label for each image. Received: "):
        next(batches_of("data", (IMAGES, labels), 2))


@pytest.mark.parametrize("data", ["text", b"bytes", {"a": 1}, 7, None])
def test_what_holds_no_batches_is_refused(data):
    with pytest.raises(ValueError, match="^`data` must be a dataset of batches .*Received: data="):
        next(batches_of("data", data, 2))
