"""The pictures of these pages, made by the verbs and callbacks themselves.

    npm ci --prefix examples/web
    KERAS_BOTTLENECK_DATA=FOLDER python docs/pictures.py

trains ResNet20 on 4,000 photographs of CIFAR-10 and writes every picture anew into this folder, in
seven minutes on two cores. Node.js and Chromium take the pictures of web pages.
"""

import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras
from PIL import Image
from sklearn.datasets import load_sample_image

import keras_bottleneck as kb
from keras_bottleneck import data, quantization

HERE = Path(__file__).parent
WEB = HERE.parent / "examples" / "web"
PHOTOGRAPHS_OF_A_CLASS = 400
COLOURS = 128
IMAGENET = kb.Preprocessing(
    (224, 224), resize="crop", crop_fraction=224 / 256, scale=1 / 127.5, mean=(1.0,)
)


def main() -> None:
    """Make them all."""
    source = Path(os.environ["KERAS_BOTTLENECK_DATA"])
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        unpack(source / "cifar10_train_jpg.zip", Path("photographs"))
        run()
        keep(Path("cifar10/curves.png"), "curves")
        images = data.image_folder("photographs", image_size=32)
        sensitivity(images)
        gradient_flow(images)
        report_page()
        browser(source)


def unpack(archive: Path, folder: Path) -> None:
    """The first photographs of each class."""
    with zipfile.ZipFile(archive) as photographs:
        names = photographs.namelist()
        first = [name for name in names if int(Path(name).stem) < PHOTOGRAPHS_OF_A_CLASS]
        photographs.extractall(folder, first)


def run() -> None:
    """A training, its int8 files and its figures, by the command."""
    verb("train", "--data", "photographs", "--model", "ResNet20", "--augment", "flip,crop",
         "--epochs", "12", "--learning-rate", "0.003", "--out", "cifar10")  # fmt: skip
    verb("quantize", "cifar10")
    verb("benchmark", "cifar10", "--formats", "tflite,tflite_dynamic,tflite_int8,onnx,onnx_int8")
    verb("report", "cifar10")


def verb(*words: str) -> None:
    """Run `keras-bottleneck` with these words."""
    command = [sys.executable, "-m", "keras_bottleneck.cli", *words]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    subprocess.run(command, check=True, env=environment)


def sensitivity(images: data.ImageData) -> None:
    """Which layers of the network of the run lose most in int8."""
    model = keras.models.load_model("cifar10/best.keras")
    report = quantization.sensitivity(model, images.train)
    keep(report.plot("sensitivity.png"), "sensitivity")


def gradient_flow(images: data.ImageData) -> None:
    """The gradients of an untrained ResNet20, from its first steps on."""
    keras.utils.set_random_seed(0)
    model = kb.ResNet20(classes=10, input_shape=(32, 32, 3))
    model.compile("adam", "sparse_categorical_crossentropy")
    flow = kb.analysis.GradientFlow(images.train, "gradients.png", every=10)
    model.fit(images.train, epochs=2, callbacks=[flow])
    keep(Path("gradients.png"), "gradients")


def report_page() -> None:
    """The page of the run."""
    screenshot(Path("cifar10/report.html").resolve().as_uri(), "report", 1000, 1440)


def browser(source: Path) -> None:
    """MobileNetV2 in the example for browsers, and its answer to a photograph (CC BY 2.0)."""
    model = keras.applications.MobileNetV2(weights=None)
    model.load_weights(source / "mobilenet_v2_1.0_224_imagenet.weights.h5")
    labels = json.loads((source / "imagenet_labels.json").read_text("utf-8"))
    Image.fromarray(load_sample_image("china.jpg")).save("photo.png")
    kb.export_model(
        model,
        "exported",
        ["tflite"],
        name="mobilenet_v2",
        labels=labels,
        preprocessing=IMAGENET,
        verify=IMAGENET("photo.png")[None],
    )
    build = ["node", str(WEB / "build.mjs"), "--out", "page", "exported"]
    subprocess.run(build, check=True)
    with served("page") as address:
        screenshot(address, "browser", 800, 720, "photo.png")


class Silent(http.server.SimpleHTTPRequestHandler):
    """Files, without a line for each."""

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: str) -> Iterator[str]:
    """The address of a server of the files in `folder`."""
    handler = functools.partial(Silent, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


def screenshot(url: str, name: str, width: int, height: int, *photo: str) -> None:
    """A picture of the page at `url`, of so many pixels."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("needs Chromium (`chromium`) on the PATH")
    picture = f"{name}.png"
    script = ["node", str(HERE / "screenshot.mjs")]
    subprocess.run([*script, url, chromium, picture, str(width), str(height), *photo], check=True)
    keep(Path(picture), name)


def keep(picture: Path, name: str) -> None:
    """Put a picture into the folder of the pages, in a few colours."""
    with Image.open(picture) as image:
        # This method keeps the colour of a thin line among many pixels of other colours.
        octree = Image.Quantize.FASTOCTREE
        few = image.convert("RGB").quantize(COLOURS, octree, dither=Image.Dither.NONE)
    few.save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
