"""Every block and every family of networks goes the whole way, none is left out."""

import inspect
import math

import keras
import numpy as np
import pytest

from keras_bottleneck import layers, models
from keras_bottleneck.graph import flatten, fold

pytestmark = pytest.mark.slow

CHANNELS = 8
SIZE = 16
BLOCKS = {
    "AsymmetricConv2D": lambda: layers.AsymmetricConv2D(8),
    "BasicBlock": lambda: layers.BasicBlock(8, 2, se_ratio=0.25),
    "BatchNormalization": lambda: layers.BatchNormalization(),
    "BlurPool": lambda: layers.BlurPool(2),
    "Bottleneck": lambda: layers.Bottleneck(4, 2, groups=2),
    "CSPLayer": lambda: layers.CSPLayer(8, 1),
    "ConvNormAct": lambda: layers.ConvNormAct(8, 3, 2, antialias=True),
    "DarknetBottleneck": lambda: layers.DarknetBottleneck(8),
    "DropPath": lambda: layers.DropPath(0.2),
    "FactorizedConvNormAct": lambda: layers.FactorizedConvNormAct(8),
    "InvertedResidual": lambda: layers.InvertedResidual(8),
    "PreactivationBasicBlock": lambda: layers.PreactivationBasicBlock(8, 2),
    "PreactivationBottleneck": lambda: layers.PreactivationBottleneck(4, conv_bias=True),
    "Remat": lambda: layers.Remat(layers.BasicBlock(8)),
    "RepVGGBlock": lambda: layers.RepVGGBlock(8),
    "Residual": lambda: layers.Residual(keras.layers.Conv2D(8, 3, padding="same"), "relu"),
    "SeparableConvNormAct": lambda: layers.SeparableConvNormAct(8, 3, 2),
    "SqueezeExcite": lambda: layers.SqueezeExcite(0.5),
}
# Bases, and what takes two inputs: `CropLike` stands in ResUNet below, `ArcFace` in the training
# networks of tests/layers/test_arcface.py.
PARTS = {"Block", "ConvPair", "ParallelBranches", "ResidualBlock", "ArcFace", "CropLike"}


def test_no_block_is_left_out():
    public = {name for name in layers.__all__ if inspect.isclass(getattr(layers, name))}
    assert public == set(BLOCKS) | PARTS


# Other builders than those of `models.VARIANTS`, at reduced size.
FAMILIES = {
    "CSPDarknet": lambda: models.CSPDarknet(width=0.1, input_shape=(32, 32, 3), classes=3),
    "FPN": lambda: on_pyramid(models.FPN(small_backbone(), 8)),
    "MobileNetV2": lambda: models.MobileNetV2((32, 32, 3), alpha=0.1, classes=3),
    "ResNet, asymmetric": lambda: two_blocks("bottleneck", conv="asymmetric"),
    "ResNet, factorized": lambda: two_blocks("basic", conv="factorized"),
    "ResNet, separable": lambda: two_blocks("basic", conv="separable"),
    "ResUNet": lambda: models.ResUNet(small_backbone(), 3, filters=8),
}


def two_blocks(block, **settings):
    settings = {"filters": (8, 16), "input_shape": (32, 32, 3), "classes": 3, **settings}
    return models.ResNet(block, (1, 1), **settings)


def small_backbone():
    return two_blocks("basic", include_top=False)


def on_pyramid(pyramid):
    """A classifier of the finest map of a pyramid."""
    x = keras.layers.GlobalAveragePooling2D()(pyramid.outputs[0])
    top = keras.layers.Dense(3, "softmax", dtype="float32")
    return keras.Model(pyramid.inputs, top(x), name="net")


def by_settings():
    """One network for each different set of arguments that the rows of `models.VARIANTS` have."""
    found = {}
    for name, row in models.VARIANTS.items():
        found.setdefault((row.block, *sorted(row.settings)), (name, row))
    return found.values()


def reduced(row):
    settings = {"filters": (16, 32, 32), **row.settings, "input_shape": (32, 32, 3), "classes": 3}
    return models.ResNet(row.block, (1, 1, 1), name="net", **settings)


def around(block):
    image = keras.Input((SIZE, SIZE, 3))
    x = block()(layers.ConvNormAct(CHANNELS)(image))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3, "softmax", dtype="float32")(x), name="net")


CASES = {
    **{name: lambda block=block: around(block) for name, block in BLOCKS.items()},
    **{name: lambda row=row: reduced(row) for name, row in by_settings()},
    **FAMILIES,
}
every_case = pytest.mark.parametrize("build", CASES.values(), ids=CASES.keys())
# Blocks of which tests/export/test_blocks.py and those of the formats write files in CI, and
# networks whose parts are in another.
EXPORTED_IN_CI = ("BlurPool", "PreactivationBottleneck", "Remat")
every_export = pytest.mark.parametrize(
    "build",
    [
        pytest.param(build, marks=() if name in EXPORTED_IN_CI else pytest.mark.full, id=name)
        for name, build in CASES.items()
    ],
)


def step(model, noise):
    """One step of `fit` on tf.data, or on arrays where TensorFlow is not installed."""
    # A class for each image, or for each pixel.
    labels = np.arange(4 * math.prod(model.output_shape[1:-1])) % 3
    data = noise(4, *model.input_shape[1:]), labels.reshape(4, *model.output_shape[1:-1])
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        data = (tf.data.Dataset.from_tensor_slices(data).batch(4),)
    model.compile("sgd", "sparse_categorical_crossentropy")
    batch_size = None if len(data) == 1 else 4
    history = model.fit(*data, batch_size=batch_size, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@every_case
@pytest.mark.full
def test_it_trains_in_mixed_precision(build, noise, dtype_policy):
    dtype_policy("mixed_bfloat16")
    model = build()
    before = model.get_weights()
    step(model, noise)
    pairs = zip(before, model.get_weights(), strict=True)
    assert any((old != new).any() for old, new in pairs)


@every_case
def test_a_file_flatten_and_fold_keep_what_it_computes(
    build, noise, trained, max_difference, tmp_path
):
    model = trained(build())
    x = noise(2, *model.input_shape[1:])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.to_json() == model.to_json()
    assert max_difference(loaded(x), model(x)) == 0.0
    assert max_difference(flatten(model)(x), model(x)) == 0.0
    assert max_difference(fold(model)(x), model(x)) <= 1e-4


@every_export
def test_its_float_and_int8_files_are_run_and_compared(build, noise, trained, tmp_path):
    pytest.importorskip("tensorflow", reason="export needs TensorFlow")
    import keras_bottleneck as kb

    model = trained(build())
    step(model, noise)
    images = noise(100, *model.input_shape[1:])
    # Out of tolerance is an ExportError.
    kb.export_model(model, tmp_path / "float", ("tflite", "onnx"), verify=images[:8])
    quantized = kb.quantize(model, images)
    report = kb.export_model(quantized, tmp_path / "int8", verify=images[:8])
    for artifact in report.artifacts:
        audit = kb.audit(artifact.path)
        assert not audit.problems, artifact.path
