"""Wrong calls across the library: each ends in one clear sentence that names the argument."""

import keras
import numpy as np
import pytest
from PIL import Image

import keras_bottleneck as kb
from keras_bottleneck import analysis, data, export, graph, layers, runtime, training, weights

pytest.importorskip("tensorflow", reason="data and export need TensorFlow")

NOISE = np.zeros((2, 32, 32, 3), np.float32)
LABELLED = (NOISE, np.array([0, 1]))


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.fixture(scope="module")
def model():
    return kb.ResNet("basic", (1,), filters=(4,), stem="cifar", classes=3, name="small")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with things that are not what they are taken for."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "text.jpg").write_text("no image")
    (folder / "garbage.tflite").write_bytes(b"garbage")
    (folder / "garbage.onnx").write_bytes(b"garbage")
    (folder / "garbage.keras").write_bytes(b"garbage")
    (folder / "empty").mkdir()
    for name in ("one", "empty_class"):
        (folder / name / "cat").mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / name / "cat" / "0.png")
    (folder / "empty_class" / "dog").mkdir()
    for name in ("cat", "dog"):
        (folder / "two" / name).mkdir(parents=True)
        for index in range(2):
            image = Image.new("RGB", (8, 8), (index, len(name), ord(name[0])))
            image.save(folder / "two" / name / f"{index}.png")
    (folder / "broken" / "manifest").mkdir(parents=True)
    (folder / "broken" / "manifest.json").write_text("{")
    return folder


def nested(name, model, files):
    """An export of `model` with one argument wrong."""
    arguments = {"directory": files / "out", "verify": NOISE, **name}
    return kb.export_model(model, **arguments)


CASES = {
    # layers
    "filters": lambda m, f: layers.Bottleneck(0),
    "filters ": lambda m, f: layers.BasicBlock("64"),
    "stride": lambda m, f: layers.Bottleneck(8, stride=1.5),
    "shortcut": lambda m, f: layers.BasicBlock(8, shortcut="projecton"),
    "padding": lambda m, f: layers.BasicBlock(8, padding="valid"),
    "activation": lambda m, f: layers.BasicBlock(8, activation="rely"),
    "drop_path": lambda m, f: layers.BasicBlock(8, drop_path=1.0),
    "se_ratio": lambda m, f: layers.BasicBlock(8, se_ratio=-0.1),
    "kernel_size": lambda m, f: layers.InvertedResidual(8, kernel_size=4),
    "groups": lambda m, f: layers.ConvNormAct(8, groups=3),
    "layers": lambda m, f: layers.Residual([]),
    "rate": lambda m, f: layers.DropPath(1.5),
    "ratio": lambda m, f: layers.SqueezeExcite(0),
    "margin": lambda m, f: layers.ArcFace(8, margin=2.0),
    "input_shape ": lambda m, f: layers.BasicBlock(8)(keras.Input((8, 8))),
    # models
    "block": lambda m, f: kb.ResNet("botleneck"),
    "depths": lambda m, f: kb.ResNet(depths=(2, 0)),
    "stem": lambda m, f: kb.ResNet18(stem="imagnet"),
    "stride_on": lambda m, f: kb.ResNet18(stride_on="1x1"),
    "include_top": lambda m, f: kb.ResNet50(include_top="yes"),
    "weights": lambda m, f: kb.ResNet50(weights="imagenet21k"),
    "weights ": lambda m, f: kb.ResNet50(weights=f / "missing.weights.h5"),
    "input_tensor": lambda m, f: kb.ResNet50(input_tensor=NOISE),
    "input_shape": lambda m, f: kb.ResNet50(input_shape=(224, 224)),
    "pooling": lambda m, f: kb.ResNet50(include_top=False, pooling="mean"),
    "classes": lambda m, f: kb.ResNet50(classes=0),
    "classifier_activation": lambda m, f: kb.ResNet50(classifier_activation="softmaks"),
    "name": lambda m, f: kb.ResNet50(name=""),
    "alpha": lambda m, f: kb.MobileNetV2(alpha=0),
    "model": lambda m, f: kb.feature_info(keras.Sequential([keras.Input((4,))])),
    "strides": lambda m, f: kb.FPN(m, strides=(2, 3)),
    "filters  ": lambda m, f: kb.FPN(m, filters=0),
    "classes ": lambda m, f: kb.ResUNet(m, classes=None),
    "model         ": lambda m, f: kb.embedding_model(m),
    # weights
    "source": lambda m, f: weights.load(m, f / "text.jpg"),
    "source ": lambda m, f: weights.load(m, f / "garbage.keras"),
    "source  ": lambda m, f: weights.load(m, {"conv1.weight": NOISE}),
    "variant": lambda m, f: weights.load(m, m, variant="v2"),
    "layout": lambda m, f: weights.save(m, f / "a.safetensors", "pytorch"),
    "path             ": lambda m, f: weights.save(m, f / "a.pth"),
    # graph
    "model ": lambda m, f: graph.flatten("resnet50"),
    "model  ": lambda m, f: graph.fold(Subclassed()),
    "model   ": lambda m, f: graph.fold(keras.Sequential([keras.layers.Dense(2)])),
    # data
    "path": lambda m, f: data.image_folder(f / "missing"),
    "path ": lambda m, f: data.image_folder(f / "text.jpg"),
    "path  ": lambda m, f: data.image_folder(f / "empty"),
    "path   ": lambda m, f: data.image_folder(f / "one"),
    "path    ": lambda m, f: data.image_folder(f / "empty_class"),
    "subset": lambda m, f: data.image_folder(f / "two", subset="test"),
    "validation_split": lambda m, f: data.image_folder(f / "one", validation_split=1.0),
    "batch_size": lambda m, f: data.digits(batch_size=0),
    "augment": lambda m, f: data.digits(augment=("flipp",)),
    "channels": lambda m, f: data.digits(channels=2),
    # training
    "epochs": lambda m, f: training.Recipe(epochs=0),
    "optimizer": lambda m, f: training.Recipe(optimizer="adamW"),
    "label_smoothing": lambda m, f: training.Recipe(label_smoothing=1),
    "mixed_precision": lambda m, f: training.Recipe(mixed_precision="bfloat16"),
    "train": lambda m, f: training.Recipe().fit(m, (NOISE, np.array([0, 7]))),
    "train  ": lambda m, f: training.finetune(m, (NOISE, np.array(["cat", "dog"]))),
    "train   ": lambda m, f: training.finetune(m, (NOISE, np.array([0.5, 1.5]))),
    "train    ": lambda m, f: training.Recipe().fit(m, data.digits().train.map(lambda x, y: x)),
    "train     ": lambda m, f: training.Recipe().fit(m, None),
    "train      ": lambda m, f: training.finetune(
        m, data.digits().train.take(0), steps_per_epoch=1
    ),
    "validation": lambda m, f: training.finetune(m, LABELLED, (one for one in [LABELLED])),
    "validation ": lambda m, f: training.finetune(m, LABELLED, (NOISE, np.array([0, 7]))),
    "model      ": lambda m, f: training.finetune(None, LABELLED),
    "model       ": lambda m, f: training.check_fit(None, LABELLED),
    "model        ": lambda m, f: training.recalibrate_batch_norm(None, NOISE),
    "up_to": lambda m, f: training.freeze(m, "stage9"),
    "batch_norm": lambda m, f: training.FineTune(batch_norm="freeze"),
    "stages": lambda m, f: training.finetune(m, LABELLED, recipe=training.FineTune(stages=9)),
    "recipe": lambda m, f: training.finetune(m, LABELLED, recipe=5),
    "data": lambda m, f: training.recalibrate_batch_norm(m, "photos"),
    "train ": lambda m, f: training.check_range(NOISE + 200, kb.Preprocessing((32, 32))),
    # analysis
    "model            ": lambda m, f: analysis.cost(Subclassed()),
    "input_shape  ": lambda m, f: analysis.cost(m, (32, 32)),
    "dtype": lambda m, f: analysis.cost(m, (32, 32, 3)).peak_bytes("int4"),
    "channels ": lambda m, f: analysis.compare_blocks(255),
    "size": lambda m, f: analysis.compare_blocks(256, 0),
    "data ": lambda m, f: analysis.GradientFlow("photos"),
    "every": lambda m, f: analysis.GradientFlow(LABELLED, every=0),
    "target": lambda m, f: analysis.check(m, "phone"),
    "memory": lambda m, f: analysis.check(m, "ethos-u", memory=-1),
    # export
    "model    ": lambda m, f: nested({}, Subclassed(), f),
    "model     ": lambda m, f: nested({}, keras.Sequential([keras.Input((4,))]), f),
    "directory": lambda m, f: nested({"directory": f / "text.jpg"}, m, f),
    "directory ": lambda m, f: nested({"directory": f / "broken"}, m, f),
    "directory  ": lambda m, f: nested({"directory": 7}, m, f),
    "formats": lambda m, f: nested({"formats": ["tflight"]}, m, f),
    "formats ": lambda m, f: nested({"formats": "tflite"}, m, f),
    "name ": lambda m, f: nested({"name": "a/b"}, m, f),
    "labels": lambda m, f: nested({"labels": ["cat", "dog"]}, m, f),
    "preprocessing": lambda m, f: nested({"preprocessing": {"scale": 1}}, m, f),
    "preprocessing ": lambda m, f: nested({"preprocessing": kb.Preprocessing((64, 64))}, m, f),
    "verify": lambda m, f: nested({"verify": NOISE[:, :16]}, m, f),
    "verify ": lambda m, f: nested({"verify": NOISE * np.nan}, m, f),
    "verify  ": lambda m, f: nested({"verify": []}, m, f),
    "verify   ": lambda m, f: nested({"verify": "images"}, m, f),
    "image_size": lambda m, f: nested({"image_size": 64}, m, f),
    "batch_size ": lambda m, f: nested({"batch_size": 0}, m, f),
    "verify_samples": lambda m, f: nested({"verify_samples": 0}, m, f),
    "path     ": lambda m, f: export.save_model(m, f / "model.h5"),
    "labels ": lambda m, f: export.save_model(m, f / "model.keras", labels="abc"),
    "path      ": lambda m, f: export.load_model(f / "garbage.keras"),
    "path       ": lambda m, f: export.audit(f / "garbage.tflite"),
    # runtime and preprocessing
    "path        ": lambda m, f: runtime.load(f / "missing.tflite"),
    "path         ": lambda m, f: runtime.load(f / "model.tflight"),
    "path          ": lambda m, f: runtime.load(f / "garbage.tflite"),
    "path           ": lambda m, f: runtime.load(f / "garbage.onnx"),
    "path            ": lambda m, f: runtime.load(f / "empty"),
    "image": lambda m, f: kb.Preprocessing((8, 8))(f / "text.jpg"),
    "image ": lambda m, f: kb.Preprocessing((8, 8))(NOISE),
    "image_size ": lambda m, f: kb.Preprocessing((0, 8)),
    "std": lambda m, f: kb.Preprocessing((8, 8), std=(1.0, 1.0)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_call_is_one_sentence_that_names_the_argument(case, model, files):
    before = sorted(files.rglob("*"))
    with pytest.raises(ValueError, match="Received: ") as caught:
        CASES[case](model, files)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"`{case.strip()}`"), message
    assert "Traceback" not in message
    assert "MLIR" not in message
    assert sorted(files.rglob("*")) == before


def test_there_are_more_than_fifty():
    assert len(CASES) >= 50
