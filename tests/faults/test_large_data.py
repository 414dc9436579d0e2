"""Files that vanish or break while a network is trained on them, and how long a list may be."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from keras_bottleneck.data import image_folder

tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")

FILES = int(os.environ.get("KERAS_BOTTLENECK_FILES", "4000"))
# Of a worker that only lists names: bytes of memory for one file more.
BYTES_PER_FILE = 2000


def labelled(dataset):
    """The first value of each image, which tells the file, and the labels."""
    batches = [(images.numpy()[:, 0, 0, 0], labels.numpy()) for images, labels in dataset]
    return [np.concatenate(part) for part in zip(*batches, strict=True)]


@pytest.fixture
def folder(tmp_path):
    """Forty grey PNG files in two classes, each of a level of its own."""
    for index in range(40):
        path = tmp_path / "images" / f"class{index % 2}" / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (index * 5,) * 3).save(path)
    return tmp_path / "images"


def spoil(path, how):
    if how == "deleted":
        path.unlink()
    elif how == "cut off":
        path.write_bytes(path.read_bytes()[:40])
    else:
        path.write_text("no image")


@pytest.mark.parametrize(("seed", "how"), list(enumerate(["deleted", "cut off", "overwritten"])))
def test_files_that_turn_unreadable_are_counted_and_replaced(folder, seed, how):
    images = image_folder(folder, 4, batch_size=8, seed=seed)
    before, labels = labelled(images.validation)
    lost = np.random.default_rng(seed).permutation(40)[:11]
    for index in lost:
        spoil(folder / f"class{index % 2}" / f"{index:02d}.png", how)
    levels = {np.float32(index * 5) / np.float32(255): index for index in range(40)}
    count = 0
    for part, size in ((images.train, 32), (images.validation, 8)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            values, labels = labelled(part)
        assert len(values) == size and len(part) == size // 8
        found = [min(levels, key=lambda level: abs(level - value)) for value in values]  # noqa: B023
        indices = np.array([levels[level] for level in found])
        assert not set(indices) & set(lost)
        np.testing.assert_array_equal(indices % 2, labels)
        count += sum(int(str(one.message).split()[0]) for one in caught)
        assert all("could not be read in this pass" in str(one.message) for one in caught)
    assert count == 11
    # The others keep their places.
    values, _ = labelled(images.validation)
    readable = [levels[min(levels, key=lambda level: abs(level - v))] not in lost for v in before]  # noqa: B023
    np.testing.assert_array_equal(values[readable], before[readable])


def test_nothing_is_said_where_nothing_is_lost(folder):
    images = image_folder(folder, 4, batch_size=8, cache=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            values, _ = labelled(images.train)
            assert len(set(values)) == 32


def test_a_disk_that_is_gone_is_one_error(folder):
    images = image_folder(folder, 4, batch_size=8)
    for path in folder.rglob("*.png"):
        path.unlink()
    with pytest.raises(tf.errors.OpError, match="None of the 32 training images can be read"):
        labelled(images.train)


def test_training_goes_on_without_lost_files(folder):
    import keras

    images = image_folder(folder, 4, batch_size=8)
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")

    class Lose(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                for index in range(0, 40, 5):
                    (folder / f"class{index % 2}" / f"{index:02d}.png").unlink()

    with pytest.warns(UserWarning, match=r"^\d of 32 training images could not be read in this"):
        history = model.fit(
            images.train, validation_data=images.validation, epochs=4, verbose=0, callbacks=[Lose()]
        )
    assert np.isfinite(history.history["loss"]).all() and len(history.history["loss"]) == 4
    assert int(model.optimizer.iterations) == 16


def many(folder, count):
    """`count` files in ten classes: hard links to thirty tiny JPEG files in each."""
    rng = np.random.default_rng(0)
    for label in range(10):
        place = folder / f"class{label}"
        place.mkdir(parents=True)
        for index in range(count // 10):
            path = place / f"{index:06d}.jpg"
            if index < 30:
                pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(path)
            else:
                os.link(place / f"{index % 30:06d}.jpg", path)
    return folder


READ = """
import sys
from keras_bottleneck.data import image_folder

def most():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))

images = image_folder(sys.argv[1], image_size=16, batch_size=32)
batches = iter(images.train.repeat())
for _ in range(100):
    next(batches)
print(most())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.full
def test_memory_does_not_follow_the_number_of_files(tmp_path):
    """`KERAS_BOTTLENECK_FILES=200000 pytest -m slow` is the full run."""
    peaks = []
    for count in (FILES // 10, FILES):
        folder = many(tmp_path / str(count), count)
        found = subprocess.run(
            [sys.executable, "-c", READ, str(folder)], capture_output=True, text=True, check=True
        )
        peaks.append(int(found.stdout) * 1024)
    # A list of names grows; but for that, files stay where they are.
    assert peaks[1] - peaks[0] < BYTES_PER_FILE * FILES + 40e6


def test_the_shuffle_is_over_all_files(tmp_path):
    """The first batches of a pass come from the whole list, which is sorted by class."""
    folder = many(tmp_path / "many", 2000)
    images = image_folder(folder, image_size=4, batch_size=100, validation_split=0)
    labels = np.concatenate([labels for _, labels in images.train.take(3)])
    counts = np.bincount(labels, minlength=10)
    # 300 of 2,000 files without replacement: 30 of each class, and a standard deviation of 4.8.
    assert counts.min() > 10 and counts.max() < 50
