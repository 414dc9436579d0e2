"""A folder of real images, and the run of a network on it."""

import numpy as np
import pytest
from PIL import Image

import keras_bottleneck as kb
from keras_bottleneck.cli import main


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Scans of the digits 0, 1 and 2, eight by eight pixels, as PNG files."""
    datasets = pytest.importorskip("sklearn.datasets", reason="the images are scikit-learn's")
    folder = tmp_path_factory.mktemp("cli") / "photos"
    scans = datasets.load_digits()
    for digit, name in enumerate(("zero", "one", "two")):
        (folder / name).mkdir(parents=True)
        for index, scan in enumerate(scans.images[scans.target == digit][:45]):
            pixels = (scan * 15.9).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index:02}.png")
    return folder


@pytest.fixture(scope="session")
def run(photos):
    """The folder of a run like those of `train`, of a network of one block."""
    from keras_bottleneck.runs.card import write_card
    from keras_bottleneck.runs.folder import settings_of
    from keras_bottleneck.runs.keeping import Keeper

    images = kb.data.image_folder(photos, 8, batch_size=16)
    shape = images.preprocessing.input_shape
    model = kb.ResNet(
        "basic", (1,), filters=(8,), stem="cifar", input_shape=shape, classes=3, name="small"
    )
    recipe = kb.training.Recipe(epochs=6, learning_rate=1e-2)
    settings = settings_of(recipe, data=str(photos), model="ResNet20", image_size=8, augment=[])
    made = kb.runs.Run.planned(photos.parent / "run", "train", settings, images)
    keeper = Keeper(made, images.preprocessing)
    data = images.train, images.validation
    kb.training.loop.train(recipe, model, *data, [keeper], keep_best=keeper.keep_best)
    write_card(made)
    return made.path


@pytest.fixture(scope="session")
def exported(run):
    """The folder with the .tflite file of the run."""
    out = run.parent / "files"
    assert main(["export", str(run), "--out", str(out), "--formats", "tflite"]) == 0
    return out
