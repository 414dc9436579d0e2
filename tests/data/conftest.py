import numpy as np
import pytest
from PIL import Image

SUFFIXES = {"ants": "jpg", "bees": "png", "cats": "bmp"}


def draw(rng, height, width):
    """Random colours without hard edges, as photographs have them."""
    seed = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(seed).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def smooth_image():
    """`draw`, for the tests."""
    return draw


@pytest.fixture
def folder(tmp_path):
    """Three classes of ten images in many sizes, every other one in a deeper folder."""
    rng = np.random.default_rng(0)
    for name, suffix in SUFFIXES.items():
        (tmp_path / name / "deeper").mkdir(parents=True)
        for index in range(10):
            place = tmp_path / name / ("deeper" if index % 2 else ".")
            image = draw(rng, 20 + 3 * index, 47 - 2 * index)
            image.save(place / f"{index}.{suffix}")
    return tmp_path
