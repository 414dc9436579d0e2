"""Training data from any batch on: the batches of pass after pass, whatever the kind."""

from itertools import islice

import numpy as np
import pytest

from keras_bottleneck.data.batches import ArrayBatches
from keras_bottleneck.data.streams import Stream, beginning

ROWS = np.arange(14, dtype="float32").reshape(7, 2)
LABELS = np.arange(7)


def labels(data, count=9):
    return [np.asarray(batch[1]).tolist() for batch in islice(iter(data), count)]


def of_arrays():
    return ArrayBatches((ROWS, LABELS), 3, seed=5)


def of_shuffled():
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    return tf.data.Dataset.from_tensor_slices((ROWS, LABELS)).shuffle(7, seed=1).batch(3)


def of_tf_data():
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    return tf.data.Dataset.from_tensor_slices((ROWS, LABELS)).batch(3)


def of_lists():
    return [(ROWS[at : at + 3], LABELS[at : at + 3]) for at in (0, 3, 6)]


def of_generator():
    return ((ROWS[:2], [at, at + 1]) for at in range(40))


def test_arrays_from_a_batch_on_are_those_that_follow():
    whole = labels(of_arrays().from_batch(0), 12)
    for first in (1, 3, 4):
        assert labels(of_arrays().from_batch(first), 12 - first) == whole[first:]


@pytest.mark.parametrize("made", [of_tf_data, of_shuffled, of_lists, of_generator])
def test_a_stream_goes_on_wherever_it_was_read_to(made):
    whole = labels(Stream(made()).from_batch(0), 12)
    for first in (1, 3, 4):
        stream = Stream(made())
        assert labels(stream.from_batch(first), 5) == whole[first : first + 5]
        # Two of those five were read ahead, and are given again.
        assert labels(stream.from_batch(first + 3), 4) == whole[first + 3 : first + 7]


def test_what_was_trained_on_is_not_kept():
    stream = Stream(of_generator())
    batches = stream.from_batch(0)
    for number in range(20):
        next(batches)
        assert len(stream._kept) <= 2
        stream.forget(number)


def test_a_stream_ends_where_its_generator_ends():
    assert len(labels(Stream(of_generator()).from_batch(37), 9)) == 3


def test_each_pass_over_arrays_has_all_samples_in_an_order_of_its_own():
    read = sum(labels(of_arrays().from_batch(0), 9), [])
    orders = [read[:7], read[7:14], read[14:]]
    assert all(sorted(order) == LABELS.tolist() for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_arrays_themselves_are_the_same_whenever_they_are_read():
    data = of_arrays()
    first = labels(data)
    labels(data.from_batch(4))
    assert labels(beginning(data)) == first
    assert len(first) == len(data) == 3
