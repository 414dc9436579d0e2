"""The built page in headless Chromium: real files, real photographs, Python's probabilities."""

import json

import numpy as np
import pytest

import keras_bottleneck as kb

from ..quantization import published
from .photos import sample_photos, write_all

pytest.importorskip("tensorflow", reason="export needs TensorFlow")
pytestmark = pytest.mark.slow

LABELS = tuple(f"{what}, {turn}" for what in ("pagoda", "flower") for turn in (0, 90, 180, 270))
SHOWN = 5


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("photos") / "files")


@pytest.fixture(scope="module")
def training():
    """Cut-outs of the two photographs in four orientations: (images, classes, preprocessing)."""
    prepare = kb.Preprocessing((32, 32), mean=(0.5, 0.5, 0.4), std=(0.3, 0.25, 0.25))
    generator = np.random.default_rng(0)
    both = sample_photos()
    images, classes = [], []
    for index in range(400):
        photo = both[index % len(LABELS) // 4]
        left, top = (int(side * generator.uniform(0, 0.25)) for side in photo.size)
        cut = photo.crop((left, top, left + 480, top + 320))
        images.append(prepare(cut.rotate(90 * (index % 4), expand=True)))
        classes.append(index % len(LABELS))
    return np.stack(images), np.array(classes), prepare


@pytest.fixture(scope="module")
def exported(training, tmp_path_factory):
    """Folder of a network that tells photographs and their orientation apart, float and int8."""
    import keras

    images, classes, prepare = training
    keras.utils.set_random_seed(0)
    model = kb.ResNet(
        "basic",
        (1, 1),
        filters=(8, 16),
        stem="cifar",
        input_shape=prepare.input_shape,
        classes=len(LABELS),
        name="small",
    )
    adam = keras.optimizers.Adam(1e-2)
    model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(images, classes, 32, epochs=6, verbose=0)
    assert history.history["accuracy"][-1] > 0.9
    folder = tmp_path_factory.mktemp("exported") / "files"
    about = {"labels": LABELS, "preprocessing": prepare, "verify": (images[:64], classes[:64])}
    formats = ["tflite", "tflite_float16", "tflite_dynamic", "onnx"]
    kb.export_model(model, folder, formats, **about)
    quantized = kb.quantize(model, images[:200])
    kb.export_model(quantized, folder, name="small", **about)
    kb.export_model(quantized, folder, ["tflite_int8"], name="raw", io_type="uint8", **about)
    return folder


def compared(answers, folder, photos):
    """The largest difference of a probability in `answers` from Python's, for each model.

    The classes that are shown must be Python's most probable ones, in its order.
    """
    largest = {}
    for answer in answers:
        expected = in_python(answer, folder, photos)
        shown = [(one["label"], one["probability"]) for one in answer["classes"]]
        assert answer["problem"] == ""
        assert [label for label, _ in shown] == [label for label, _ in expected], answer
        assert [one["text"] for one in answer["classes"]] == [f"{p:.1%}" for _, p in shown]
        gaps = [abs(one - other) for (_, one), (_, other) in zip(shown, expected, strict=True)]
        largest[answer["model"]] = max(gaps + [largest.get(answer["model"], 0.0)])
    return largest


def in_python(answer, folder, photos):
    """What the file of `answer` says in Python of the same photo."""
    (photo,) = (path for path in photos if path.name == answer["photo"])
    return kb.runtime.load(folder / answer["model"])(photo, top=SHOWN)


def test_float_files_give_pythons_probabilities(classify, exported, photos):
    names = ["small.onnx", "small.tflite", "small_float16.tflite"]
    answers = classify([exported / name for name in names], photos)
    assert len(answers) == len(names) * len(photos)
    found = compared(answers, exported, photos)
    assert max(found.values()) < 1e-3, found


@pytest.mark.full
def test_int8_files_give_pythons_class(classify, exported, photos):
    names = ["small_int8.onnx", "small_int8.tflite", "raw_int8.tflite", "small_dynamic.tflite"]
    answers = classify([exported / name for name in names], photos)
    assert len(answers) == len(names) * len(photos)
    for answer in answers:
        ((label, _), *_) = in_python(answer, exported, photos)
        assert answer["classes"][0]["label"] == label, answer


@pytest.mark.full
def test_a_grey_model_of_one_number(classify, photos, tmp_path):
    model = kb.ResNet(
        "basic",
        (1,),
        filters=(8,),
        stem="cifar",
        input_shape=(24, 40, 1),
        classes=1,
        classifier_activation=None,
        name="grey",
    )
    prepare = kb.Preprocessing((24, 40), 1, resize="crop", crop_fraction=0.8)
    with pytest.warns(UserWarning, match="noise"):
        kb.export_model(model, tmp_path, ["tflite", "onnx"], preprocessing=prepare)
    # Pillow takes the grey that is inside a colour JPEG; browsers do not hand it out.
    taken = [one for one in photos if one.suffix != ".jpg" or one.name == "grey.jpg"]
    answers = classify([tmp_path / "grey.tflite", tmp_path / "grey.onnx"], taken)
    assert len(answers) == 2 * len(taken)
    for answer in answers:
        expected = in_python(answer, tmp_path, taken)
        assert (answer["problem"], answer["classes"]) == ("", [])
        ((value, text),) = answer["values"]
        assert value == pytest.approx(expected, abs=1e-3)
        assert float(text) == pytest.approx(value, rel=1e-3)


def test_what_cannot_be_opened_is_said_and_the_page_goes_on(classify, exported, tmp_path):
    noise, text = tmp_path / "noise.onnx", tmp_path / "text.jpg"
    noise.write_bytes(b"This is a text and not a model. " * 9)
    text.write_text("This is no photo.")
    whole = tmp_path / "whole.png"
    sample_photos()[0].save(whole)
    answers = classify([noise, exported / "small.onnx"], [text, whole])
    problems = [answer["problem"] for answer in answers]
    unreadable = "This browser cannot read that file as an image."
    assert problems == [unreadable, "", unreadable, ""]
    assert [len(answer["classes"]) for answer in answers] == [0, 0, 0, SHOWN]
    assert "could not be opened" in answers[0]["facts"]


def test_camera_on_a_small_phone(node, page, chromium, exported):
    """Chromium's camera for tests; the model is one of those that the page was built with."""
    found = json.loads(node("camera.mjs", page(exported), chromium))
    common = {"classes": SHOWN, "overflow": 0}
    running = {"button": "Take photo", "video": True, "photo": False, **common}
    taken = {"button": "Use camera", "video": False, "photo": True, **common}
    assert found == {"running": running, "taken": taken}


def test_types(node, packages, example):
    node(example / "node_modules/typescript/bin/tsc", "--project", example)


@pytest.mark.full
def test_mobilenet_v2_on_photographs(classify, tmp_path):
    source = published.folder() / "imagenet_val100"
    photos = sorted(source.glob("*.JPEG"))[:12]
    images, classes = (array[:64] for array in published.photos())
    labels = json.loads((published.folder() / "imagenet_labels.json").read_text())
    about = {"labels": labels, "verify": (images[:8], classes[:8])}
    model = published.mobilenet_v2()
    kb.export_model(
        model, tmp_path, ["tflite", "onnx"], name="v2", preprocessing=published.IMAGENET, **about
    )
    answers = classify([tmp_path / "v2.tflite", tmp_path / "v2.onnx"], photos)
    found = compared(answers, tmp_path, photos)
    assert max(found.values()) < 1e-3, found
