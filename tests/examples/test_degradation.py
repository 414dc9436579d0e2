import os

import numpy as np
import pytest

DATA = os.environ.get("KERAS_BOTTLENECK_DATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(DATA is None, reason="KERAS_BOTTLENECK_DATA is not set"),
]


@pytest.fixture
def degradation(script):
    pytest.importorskip("matplotlib", reason="the example draws")
    return script("degradation")


@pytest.mark.full
def test_networks_that_were_trained_are_not_trained_again(degradation, tmp_path, capsys):
    short = ["--images", "256", "--image-size", "16", "--output", str(tmp_path)]
    short += ["--networks", "plain-20"]
    degradation.main([*short, "--epochs", "2"])
    assert "271,098 parameters, 4 steps" in capsys.readouterr().out
    assert (tmp_path / "degradation.png").stat().st_size > 10_000
    (tmp_path / "degradation.png").unlink()

    degradation.main([*short, "resnet-20", "--epochs", "1"])
    trained = [line for line in capsys.readouterr().out.splitlines() if "parameters" in line]
    assert [line.split(":")[0] for line in trained] == ["resnet-20"]
    assert len(degradation.errors(tmp_path / "plain-20.csv", "accuracy")) == 2
    assert len(degradation.errors(tmp_path / "resnet-20.csv", "val_accuracy")) == 1
    assert (tmp_path / "degradation.png").stat().st_size > 10_000
    assert not list(tmp_path.glob("*.part"))


def test_smaller_images_are_means(degradation):
    (whole, labels), _ = degradation.cifar10(8, 32)
    (half, same), _ = degradation.cifar10(8, 16)
    rows = (whole[:, ::2] + whole[:, 1::2]) / 2
    np.testing.assert_allclose(half, (rows[:, :, ::2] + rows[:, :, 1::2]) / 2, atol=1e-5)
    assert (labels == same).all()


def test_images_are_shifted_and_mirrored_and_keep_their_label(degradation):
    (images, labels), _ = degradation.cifar10(64, 32)
    batches = degradation.Augmented(images, labels, 64)
    seen, seen_labels = batches[0]
    still = 0
    for image, original in zip(seen, images[batches.order], strict=True):
        middle = image[8:24, 8:24]
        found = [
            (y, x, step)
            for y in range(4, 13)
            for x in range(4, 13)
            for step in (1, -1)
            if (original[:, ::step][y : y + 16, x : x + 16] == middle).all()
        ]
        assert found
        still += (8, 8, 1) in found
    assert still < 8
    assert (seen_labels == labels[batches.order]).all()
