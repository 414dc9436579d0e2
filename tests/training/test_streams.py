"""Training data from any batch on: the batches of pass after pass, whatever the kind."""

from itertools import islice

import numpy as np
import pytest

from keras_bottleneck.training.arrays import ArrayBatches
from keras_bottleneck.training.streams import beginning, from_batch

ROWS = np.arange(14, dtype="float32").reshape(7, 2)
LABELS = np.arange(7)


def labels(data, count=9):
    return [np.asarray(batch[1]).tolist() for batch in islice(iter(data), count)]


def of_arrays():
    return ArrayBatches((ROWS, LABELS), 3, seed=5)


def of_tf_data():
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    return tf.data.Dataset.from_tensor_slices((ROWS, LABELS)).batch(3)


def of_lists():
    return [(ROWS[at : at + 3], LABELS[at : at + 3]) for at in (0, 3, 6)]


def of_generator():
    return ((ROWS[:2], [at, at + 1]) for at in range(40))


@pytest.mark.parametrize("made", [of_arrays, of_tf_data, of_lists, of_generator])
def test_batches_from_one_on_are_those_that_follow(made):
    whole = labels(from_batch(made(), 0), 12)
    for first in (1, 3, 4):
        assert labels(from_batch(made(), first), 12 - first) == whole[first:]


def test_each_pass_over_arrays_has_all_samples_in_an_order_of_its_own():
    read = sum(labels(from_batch(of_arrays(), 0), 9), [])
    orders = [read[:7], read[7:14], read[14:]]
    assert all(sorted(order) == LABELS.tolist() for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_arrays_themselves_are_the_same_whenever_they_are_read():
    data = of_arrays()
    first = labels(data)
    labels(from_batch(data, 4))
    assert labels(beginning(data)) == first
    assert len(first) == len(data) == 3
