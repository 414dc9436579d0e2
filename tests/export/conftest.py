import keras
import numpy as np
import pytest

import keras_bottleneck as kb

tf = pytest.importorskip("tensorflow")

IMAGE = (32, 32, 3)
CLASSES = 5


def with_statistics(model: keras.Model, seed: int = 0) -> keras.Model:
    """`model` with batch norm statistics as training leaves them: far from 0 and 1."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        kind = variable.path.rsplit("/", 1)[-1]
        if kind in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif kind in ("beta", "moving_mean"):
            variable.assign(rng.normal(scale=0.1, size=variable.shape))
    return model


def small_network(**changes) -> keras.Model:
    arguments = {
        "block": "basic",
        "depths": (1, 1),
        "filters": (8, 16),
        "stem": "cifar",
        "input_shape": IMAGE,
        "classes": CLASSES,
        "name": "small",
    }
    return with_statistics(kb.ResNet(**{**arguments, **changes}))


@pytest.fixture(scope="session")
def build():
    return small_network


@pytest.fixture(scope="session")
def statistics():
    return with_statistics


@pytest.fixture(scope="session")
def network():
    return small_network()


@pytest.fixture(scope="session")
def samples():
    rng = np.random.default_rng(1)
    images = rng.normal(size=(12, *IMAGE)).astype(np.float32)
    return images, rng.integers(0, CLASSES, 12)


@pytest.fixture(scope="session")
def exported(network, samples, tmp_path_factory):
    """The small network in every format: (report, folder)."""
    folder = tmp_path_factory.mktemp("exported") / "files"
    report = kb.export_model(
        network,
        folder,
        list(kb.export.FLOAT_FORMATS),
        labels=[f"class {index}" for index in range(CLASSES)],
        preprocessing=kb.Preprocessing(IMAGE[:2]),
        verify=samples,
    )
    return report, folder
