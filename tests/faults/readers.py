"""What reads files that others may have made, and whole files of each kind to be damaged."""

import functools
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import mutating

SHAPE = (12, 12, 3)
NETWORK = {"filters": (8,), "stem": "cifar", "input_shape": SHAPE, "classes": 3}


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        suffix: Of the files.
        seeds: Which of the whole files, as a pattern.
        read: Gives a function that reads the path of a damaged one.
        damage: Makes one, from a random generator and the contents of the whole files.
        share: How many of a thousand inputs it gets.
        admitted: Gives what users call, where that lets a process of its own read the file first:
            a crash of `read` counts as one of the library, and `admitted` has to refuse the file.
    """

    suffix: str
    seeds: str
    read: Callable[[], Callable[[Path], object]]
    damage: Callable = mutating.damaged
    share: int = 50
    admitted: Callable[[], Callable[[Path], object]] | None = None


def network():
    import keras_bottleneck as kb

    return kb.ResNet("basic", (1,), name="small", **NETWORK)


def make_seeds(folder):
    """Whole files of every kind in `folder`."""
    import keras
    from PIL import Image

    import keras_bottleneck as kb

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model, images = network(), rng.random((8, 12, 12, 3), np.float32)
    carried = {"labels": ("ant", "bee", "cat"), "preprocessing": kb.Preprocessing(12)}
    kb.export_model(model, folder, ("tflite", "tflite_dynamic", "onnx"), verify=images, **carried)
    quantized = kb.quantize(model, images)
    kb.export_model(quantized, folder, verify=images, name="small", **carried)
    kb.export.save_model(model, folder / "small.keras", **carried)
    kb.export.save_model(quantized, folder / "small_int8.keras", **carried)
    model.save_weights(folder / "small.weights.h5")
    model.save(folder / "legacy.h5")
    kb.weights.save(model, folder / "torchvision.safetensors")
    kb.weights.save(model, folder / "keras.safetensors", layout="keras")
    (folder / "metadata.json").write_text(kb.runtime.metadata.read(folder / "small.onnx").to_json())
    photo = Image.fromarray(rng.integers(0, 255, (40, 30, 3), np.uint8))
    for suffix in ("png", "jpg", "gif", "bmp", "webp", "tiff"):
        photo.save(folder / f"photo.{suffix}")
    photo.convert("L").save(folder / "grey.png")
    _make_torch_seeds(folder, keras.ops.convert_to_numpy)


def _make_torch_seeds(folder, to_numpy):
    from safetensors.numpy import load_file

    try:
        import torch
    except ImportError:  # its reader is left out
        return
    arrays = load_file(folder / "torchvision.safetensors")
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save({"state_dict": state, "epoch": 3}, folder / "zip.pth")
    torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({**state, "fc.bias": Harm()}, folder / "harm.pth")
    (folder / "bare.pth").write_bytes(pickle.dumps(Harm()))


class Harm:
    """Unpickled, it runs a command."""

    def __reduce__(self):
        return os.system, ("true",)


def runtime_of(suffix):
    """What a trial does with an artifact; see `probing`."""
    from keras_bottleneck.runtime import kinds, metadata, probing

    def read(path):
        error = probing.try_out(path, kinds.FILES[suffix])
        if error is not None:
            raise error
        metadata.read(path)

    return read


def loaded():
    from keras_bottleneck.runtime import load

    return load


def keras_files():
    load = loaded()
    return lambda path: load(path).run(np.zeros((1, *SHAPE), np.float32))


def audits():
    from keras_bottleneck.export import audit

    return audit


def metadata_of_files():
    from keras_bottleneck.runtime import metadata

    return metadata.read


def json_of(name):
    """Reads JSON as metadata or as a benchmark's report."""
    from keras_bottleneck.benchmarking import BenchmarkReport
    from keras_bottleneck.runtime import Metadata

    parse = {"metadata": Metadata.from_json, "benchmark": BenchmarkReport.from_json}[name]
    return lambda path: parse(path.read_text("utf-8", "surrogateescape"))


def manifests():
    """Reads a manifest as an export and as a predictor does, of a file that it does not list."""
    from keras_bottleneck.runtime import manifest

    def read(path):
        path.replace(path.with_name(manifest.MANIFEST))
        try:
            manifest.read(path.parent)
        finally:
            assert not manifest.vouches_for(path.with_name("printed.txt"))

    return read


def weights():
    from keras_bottleneck import weights as library

    model = network()
    return lambda path: library.load(model, path, padding="symmetric", epsilon=1e-5)


def weights_at_once():
    """Reads HDF5 without the process that goes first."""
    from keras_bottleneck.weights import keras_files

    keras_files.admit = lambda path: None  # in a process that is forked for one reader
    return weights()


def images():
    from keras_bottleneck.preprocessing import pixels

    return functools.partial(pixels, channels=3)


def runtime(suffix):
    return functools.partial(runtime_of, suffix)


READERS = {
    "LiteRT": Reader(".tflite", "*.tflite", runtime(".tflite"), share=250, admitted=loaded),
    "ONNX Runtime": Reader(".onnx", "*.onnx", runtime(".onnx"), share=120, admitted=loaded),
    "Keras": Reader(".keras", "*.keras", keras_files, mutating.damaged_archive, share=10),
    "audit of .tflite": Reader(".tflite", "*.tflite", audits, share=50),
    "audit of .onnx": Reader(".onnx", "*.onnx", audits, share=50),
    "weights in .keras": Reader(".keras", "*.keras", weights, mutating.damaged_archive),
    "weights in .h5": Reader(".h5", "*.h5", weights_at_once, share=100, admitted=weights),
    "weights in .safetensors": Reader(
        ".safetensors", "*.safetensors", weights, mutating.damaged_safetensors, share=80
    ),
    "weights in .pth, zip": Reader(
        ".pth", "[hz]*.pth", weights, mutating.damaged_archive, share=30
    ),
    "weights in .pth, legacy": Reader(".pth", "[lb]*.pth", weights, share=30),
    "tail of .tflite": Reader(".tflite", "*.tflite", metadata_of_files, mutating.damaged_archive),
    "metadata, labels": Reader(
        ".json", "metadata.json", functools.partial(json_of, "metadata"), mutating.damaged_json
    ),
    "manifest.json": Reader(".json", "manifest.json", manifests, mutating.damaged_json),
    "images": Reader("", "photo.*", images, share=80),
}
