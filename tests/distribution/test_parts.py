"""The part of the data that one process trains on."""

import keras
import numpy as np
import pytest

from keras_bottleneck.data.batches import ArrayBatches, first_batch
from keras_bottleneck.distribution.parts import ArrayPart, OwnBatches, OwnStream, Part

IMAGES, LABELS = np.arange(22.0).reshape(22, 1), np.arange(22)


def parts(processes, devices, **options):
    return [
        ArrayPart((IMAGES, LABELS), 8, 0, Part(process, processes, devices), **options)
        for process in range(processes)
    ]


def test_parts_together_are_the_batches_of_one_process():
    alone = ArrayBatches((IMAGES, LABELS), 8, 0)
    of_all = parts(2, 4, whole=True)
    assert [len(one) for one in of_all] == [2, 2]
    assert len(alone) == 3
    for index, whole in enumerate((0, 1, 3, 4)):  # the third one of each pass is left out
        for position in range(2):
            together = np.concatenate([one[index][position] for one in of_all])
            assert np.array_equal(together, alone[whole][position])
    onwards = of_all[0].from_batch(1)
    assert np.array_equal(onwards[2][1], of_all[0][3][1])


def test_the_last_batch_of_a_validation_is_divided_as_far_as_it_goes():
    of_all = parts(2, 4, whole=False)
    assert [len(one) for one in of_all] == [3, 3]
    assert [one[2][1].shape for one in of_all] == [(2,), (2,)]
    read = [label for one in of_all for index in range(3) for label in one[index][1]]
    assert len(read) == len(set(read)) == 20


@pytest.mark.parametrize(
    ("samples", "batch", "whole", "message"),
    [
        (22, 6, True, "`batch_size` must be a multiple of the 4 devices"),
        (7, 8, True, "`train` must be at least 8 samples. Received: train=7"),
        (3, 8, False, "`validation` must be at least 4 samples. Received: validation=3"),
    ],
)
def test_wrong_sizes(samples, batch, whole, message):
    arrays = IMAGES[:samples], LABELS[:samples]
    with pytest.raises(ValueError, match=message):
        ArrayPart(arrays, batch, 0, Part(0, 2, 4), whole=whole)


def batches(*sizes):
    return [(np.zeros((size, 1)), np.zeros(size)) for size in sizes]


def test_own_batches_begin_anew_in_every_epoch():
    own = OwnBatches("train", batches(4, 4, 4), 2, False, Part(0, 2, 2))
    assert own.rows == 4
    assert len(list(own)) == len(list(own)) == len(own) == 2


def test_own_batches_of_an_endless_dataset_go_on():
    numbers = iter(range(100))
    own = OwnStream("train", (([n], [n]) for n in numbers), 2, True, Part(0, 2, 2))
    assert own.rows == own.rows == 1
    assert first_batch("train", own) is None
    assert [next(own)[0][0] for _ in range(4)] == [0, 1, 2, 3]


def test_own_batches_begin_anew_at_their_end_where_epochs_have_a_length():
    own = OwnBatches("train", [([n], [n]) for n in range(3)], 2, True, Part(0, 2, 2))
    assert [own[index][0][0] for index in (0, 1, 0, 1)] == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((4, 3), "`train` must have batches of one size.* 4 samples in the first and 3 in batch 1"),
        ((4,), "the end of the data of process 1 before batch 1 of 2"),
        ((3, 3), "`train` must be batches that the devices of a process can divide"),
    ],
)
def test_batches_that_others_would_wait_for(sizes, message):
    own = OwnBatches("train", batches(*sizes), 2, False, Part(1, 2, 4))
    with pytest.raises(ValueError, match=message):
        list(own)


def test_datasets_of_keras_are_told_of_the_end_of_an_epoch():
    class Counting(keras.utils.PyDataset):
        epochs = 0

        def __len__(self):
            return 3

        def __getitem__(self, index):
            return [np.zeros((2, 1)), np.zeros(2)]

        def on_epoch_end(self):
            self.epochs += 1

    source = Counting()
    own = OwnBatches("validation", source, 2, False, Part(0, 2, 2))
    assert all(isinstance(batch, tuple) for batch in own)
    own.on_epoch_end()
    assert source.epochs == 1
