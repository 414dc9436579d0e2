"""The browser's resizing and scaling against Python's, on vectors that Python makes."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_bottleneck.preprocessing import Preprocessing

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CROP = {"resize": "crop", "crop_fraction": 0.875}
CAFFE = {"scale": 1.0, "mean": (103.939, 116.779, 123.68), "color_order": "bgr"}


def photo(height, width, channels=3):
    seed = np.random.SeedSequence([height, width, channels])
    values = np.random.default_rng(seed).integers(0, 256, (height, width, channels))
    return Image.fromarray(values.astype(np.uint8))


def drawn(count):
    """Cases of all kinds with sides up to 90 pixels, the same ones each time."""
    generator = np.random.default_rng(7)
    for _ in range(count):
        height, width, rows, columns = (int(side) for side in generator.integers(1, 90, 4))
        crop = {"resize": "crop", "crop_fraction": float(generator.uniform(0.2, 1))}
        options = crop if generator.random() < 0.5 else {}
        options = {**options, "interpolation": str(generator.choice(["bilinear", "bicubic"]))}
        channels = int(generator.choice([1, 3, 4]))
        yield Preprocessing((rows, columns), channels, **options), photo(height, width)


CASES = [
    (Preprocessing((224, 224), **IMAGENET, **CROP), photo(500, 375)),
    (Preprocessing((224, 224), **CROP), photo(600, 801)),
    (Preprocessing((224, 224), **CAFFE, **CROP), photo(224, 224)),
    (Preprocessing((224, 224), **IMAGENET, **CROP, interpolation="bicubic"), photo(500, 375)),
    (Preprocessing((33, 640)), photo(1237, 640)),
    (Preprocessing((601, 999), interpolation="bicubic"), photo(301, 333)),
    (Preprocessing((601, 999)), photo(301, 333)),
    (Preprocessing((32, 32), scale=1 / 127.5, mean=(1.0,)), photo(1, 1)),
    (Preprocessing((32, 32), resize="crop"), photo(3, 700)),
    # Python rounds 2.5 and 4.5 to even numbers.
    (Preprocessing((1, 1), resize="crop", crop_fraction=0.4), photo(9, 9)),
    (Preprocessing((9, 9), resize="crop", crop_fraction=2 / 3), photo(30, 40)),
    (Preprocessing((20, 30), channels=1, mean=(0.5,), std=(0.25,)), photo(50, 41)),
    (Preprocessing((20, 30), channels=4, mean=(0.1, 0.2, 0.3, 0.4)), photo(50, 41, channels=4)),
    *drawn(30),
]
SAME_SIZE = [
    (Preprocessing((40, 50), **IMAGENET), photo(40, 50)),
    (Preprocessing((40, 50), **CAFFE), photo(40, 50)),
    (Preprocessing((40, 50), channels=1, mean=(0.3,), std=(0.7,)), photo(40, 50)),
    (Preprocessing((40, 50), channels=4, scale=0.1), photo(40, 50, channels=4)),
]


@pytest.fixture
def in_javascript(node, tmp_path):
    """A function: (pixels in the model's size, model input) of each case."""

    def run(cases):
        described = []
        for index, (preprocessing, image) in enumerate(cases):
            (tmp_path / f"{index}.rgba").write_bytes(image.convert("RGBA").tobytes())
            config = preprocessing.to_dict()
            described.append({"config": config, "width": image.width, "height": image.height})
        (tmp_path / "cases.json").write_text(json.dumps(described))
        node("preprocess.mjs", tmp_path)
        for index, (preprocessing, _) in enumerate(cases):
            yield tuple(
                np.fromfile(tmp_path / f"{index}.{kind}", np.float32).reshape(
                    preprocessing.input_shape
                )
                for kind in ("resized", "input")
            )

    return run


def test_resized_as_in_python(in_javascript):
    for (preprocessing, image), (resized, made) in zip(CASES, in_javascript(CASES), strict=True):
        expected = preprocessing.resized(image)
        # Python adds up in float32, whose steps are 1.5e-5 at 255.
        np.testing.assert_allclose(resized, expected, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(made, preprocessing.normalize(resized))


def test_photos_in_the_models_size_are_the_same_to_the_last_bit(in_javascript):
    for (preprocessing, image), (_, made) in zip(SAME_SIZE, in_javascript(SAME_SIZE), strict=True):
        np.testing.assert_array_equal(made, preprocessing(image))
