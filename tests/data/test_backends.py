"""What has to work without TensorFlow, or with Keras on another backend."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from keras_bottleneck.data.images import load_tensorflow
from keras_bottleneck.data.seeds import BatchSeeds
from keras_bottleneck.keras_private import set_generator

OTHERS = [name for name in ("jax", "torch") if importlib.util.find_spec(name)]
other_backend = pytest.mark.skipif(not OTHERS, reason="needs jax or torch")


def run(code):
    """`code` in a fresh interpreter in which Keras does not need TensorFlow."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "KERAS_BACKEND": OTHERS[0]},
        capture_output=True,
        text=True,
    )


def test_missing_tensorflow_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match="^`keras_bottleneck.data` .*: pip install tensorflow$"):
        load_tensorflow()


@pytest.mark.slow
@pytest.mark.full
@other_backend
def test_import_does_not_load_tensorflow():
    done = run("import sys, keras_bottleneck.data; sys.exit('tensorflow' in sys.modules)")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.full
@other_backend
@pytest.mark.parametrize("call", ["image_folder('photos')", "digits()"])
def test_calls_without_tensorflow(call):
    done = run(
        "import sys; sys.modules['tensorflow'] = None\n"
        "from keras_bottleneck.data import digits, image_folder\n"
        f"try: {call}\n"
        "except ImportError as error: sys.exit(str(error))"
    )
    assert done.stderr.strip().endswith("pip install tensorflow")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.full
@other_backend
def test_augmentation_is_repeatable_in_tf_data():
    pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    done = run(
        "import numpy as np\n"
        "from keras_bottleneck.data import digits\n"
        "def epoch():\n"
        "    data = digits(16, 300, augment=('flip', 'crop', 'mixup'))\n"
        "    return np.concatenate([images for images, _ in data.train])\n"
        "first, second = epoch(), epoch()\n"
        "assert np.array_equal(first, second) and first.std() > 0.1\n"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("backend", ["tensorflow", None])
def test_layers_draw_from_the_generator_that_was_set(backend):
    # The very look-up of Keras's layers inside tf.data: fails when the private name moves.
    layer, seeds = keras.layers.RandomFlip(seed=0), BatchSeeds()
    set_generator(layer, seeds)
    assert layer._get_seed_generator(backend) is seeds
