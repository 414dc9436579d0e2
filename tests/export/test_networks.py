"""Every kind of model that is no plain ResNet goes through the same export."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.export.inference import inference_model
from keras_bottleneck.graph.training_only import TRAINING_ONLY

FORMATS = ("saved_model", "tflite", "onnx")


def export(model, samples, folder, **arguments):
    report = kb.export_model(model, folder, FORMATS, verify=samples[0], **arguments)
    for artifact in report.artifacts:
        assert artifact.comparison.error <= 1e-5, artifact
        assert artifact.comparison.agreement in (1.0, None), artifact
    return report


@pytest.mark.slow
def test_grouped_convolutions(build, samples, tmp_path):
    report = export(build(block="bottleneck", groups=4, base_width=32), samples, tmp_path)
    assert kb.audit(report["onnx"].path).foreign == ()


@pytest.mark.slow
@pytest.mark.full
def test_blocks_on_a_single_pixel(build, samples, trained, tmp_path):
    """Where the last feature map has one pixel, a sum looks like a bias."""
    model = build(stem="imagenet", depths=(1, 1, 1, 1), filters=(8, 8, 16, 16))
    report = export(trained(model), samples, tmp_path)
    assert kb.audit(report["onnx"].path).operators["Add"] == 4


def test_a_sum_of_other_shapes(samples, trained, tmp_path):
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, padding="same")(image)
    everywhere = layers.Add()([x, layers.GlobalAveragePooling2D(keepdims=True)(x)])
    output = layers.Dense(3)(layers.Flatten()(layers.MaxPooling2D(8)(everywhere)))
    export(trained(keras.Model(image, output, name="sums")), samples, tmp_path)


@pytest.mark.slow
def test_a_model_trained_in_half_precision_is_exported_in_float32(build, samples, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(se_ratio=0.25, drop_path=0.2)
    finally:
        keras.config.set_dtype_policy("float32")
    report = export(model, samples, tmp_path)
    types = kb.audit(report["tflite"].path).tensor_types
    assert set(types) <= {"FLOAT32", "INT32"}


@pytest.mark.slow
def test_augmentation_and_dropout_leave_no_trace(build, samples, tmp_path):
    image = keras.Input((32, 32, 3))
    x = layers.RandomRotation(0.1)(layers.RandomFlip()(image))
    x = layers.Pipeline([layers.RandomContrast(0.1), layers.RandomZoom(0.1)])(x)
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = build(include_top=False, pooling="avg")(x)
    x = layers.Dense(5)(layers.GaussianNoise(0.1)(layers.Dropout(0.5)(x)))
    report = export(keras.Model(image, x, name="augmented"), samples, tmp_path)
    assert kb.runtime.load(report["tflite"].path).output_name == "logits"
    # The 12 operators that inference needs; one Rescaling is a MUL and an ADD.
    expected = {"CONV_2D": 6, "PAD": 1, "MEAN": 1, "FULLY_CONNECTED": 1, "MUL": 1, "ADD": 3}
    assert kb.audit(report["tflite"].path).operators == expected


@pytest.mark.parametrize("layer_class", TRAINING_ONLY, ids=lambda one: one.__name__)
def test_what_export_leaves_out_is_the_identity_at_inference(layer_class):
    arguments = {
        "ActivityRegularization": (),
        "AugMix": ((0, 255),),
        "MixUp": (),
        "CutMix": (),
        "RandAugment": ((0, 255),),
        "RandomFlip": (),
        "RandomColorJitter": ((0, 255),),
        "RandomErasing": (),
        "RandomElasticTransform": (),
        "RandomGaussianBlur": (),
        "RandomPerspective": (),
        "RandomShear": (0.2, 0.2),
        "RandomTranslation": (0.2, 0.2),
        "RandomPosterization": (4,),
        "RandomInvert": (),
        "RandomGrayscale": (),
    }.get(layer_class.__name__, (0.2,))
    rank = int(layer_class.__name__[-2]) if layer_class.__name__.endswith("D") else 2
    x = np.random.default_rng(0).uniform(0, 255, (2, *(8,) * rank, 3)).astype(np.float32)
    layer = layer_class(*arguments)
    label_mixer = layer_class.__name__ in ("MixUp", "CutMix")
    given = {"images": x, "labels": np.eye(2, dtype=np.float32)} if label_mixer else x
    found = layer(given, training=False)
    np.testing.assert_array_equal(found["images"] if label_mixer else found, x)


def test_sequential_and_nested_models(samples, statistics, tmp_path):
    body = keras.Sequential([layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()])
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), body, layers.GlobalAveragePooling2D(), layers.Dense(5)]
    )
    model.add(layers.Softmax())
    model.add(layers.Activation("linear", dtype="float32"))
    report = export(statistics(model), samples, tmp_path, name="stack")
    assert kb.runtime.load(report["onnx"].path).output_name == "probabilities"


@pytest.mark.slow
@pytest.mark.full
def test_any_image_size_is_fixed_by_argument_or_preprocessing(build, samples, tmp_path):
    model = build(input_shape=(None, None, 3))
    with pytest.raises(ValueError, match="`image_size` must be .height, width., because"):
        kb.export_model(model, tmp_path / "none", verify=samples)
    report = export(model, samples, tmp_path / "size", image_size=32)
    assert kb.runtime.load(report["tflite"].path).input_shape == (1, 32, 32, 3)
    export(model, samples, tmp_path / "spec", preprocessing=kb.Preprocessing((32, 32)))


def test_a_headless_model_exports_its_features(build, samples, tmp_path):
    report = kb.export_model(
        build(include_top=False), tmp_path, ("saved_model", "tflite"), verify=samples[0]
    )
    predictor = kb.runtime.load(report["tflite"].path)
    assert predictor.output_name == "features"
    assert predictor.run(samples[0]).shape == (12, 16, 16, 16)


def classifier(units, activation, ends=lambda x: x):
    image = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    return keras.Model(image, ends(layers.Dense(units, activation)(x)), name="small")


@pytest.mark.parametrize(
    ("units", "activation", "ends", "name"),
    [
        (3, "softmax", lambda x: x, "probabilities"),
        (3, None, keras.ops.softmax, "probabilities"),
        (3, None, layers.Softmax(), "probabilities"),
        (1, "sigmoid", lambda x: x, "probabilities"),
        (1, None, keras.ops.sigmoid, "probabilities"),
        (3, None, lambda x: x, "logits"),
        (1, None, lambda x: x, "logits"),
        (3, "relu", lambda x: x, "features"),
        (3, None, lambda x: keras.ops.multiply(x, 2.0), "features"),
    ],
)
@pytest.mark.full
def test_the_output_is_called_what_it_is(units, activation, ends, name, samples, tmp_path):
    model = classifier(units, activation, ends)
    labels = ("no", "yes") if units == 1 else None  # without, one linear output is a number
    report = export(model, samples, tmp_path, labels=labels)
    predictor = kb.runtime.load(report["tflite"].path)
    assert predictor.output_name == name
    image = samples[0][0]
    outputs = model.predict(image[None], verbose=0)
    if name == "features":
        with pytest.raises(ValueError, match="a classifier with outputs"):
            predictor(image)
        return
    found = predictor.probabilities(image)[0]
    if name == "logits":
        outputs = np.exp(outputs) if units > 1 else 1 / (1 + np.exp(-outputs))
    expected = (
        outputs / outputs.sum() if units > 1 else np.array([[1 - outputs[0, 0], outputs[0, 0]]])
    )
    np.testing.assert_allclose(found, expected[0], atol=1e-5)


def test_a_single_column_is_scored_as_two_classes(samples, tmp_path):
    model = classifier(1, "sigmoid")
    images = samples[0]
    found = model.predict(images, verbose=0)[:, 0]
    # The bias at the middle of the outputs: both classes come up.
    logits = np.log(found / (1 - found))
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias - np.median(logits)])
    expected = model.predict(images, verbose=0)[:, 0] > 0.5
    assert 0 < expected.mean() < 1
    report = kb.export_model(
        model, tmp_path, ["tflite"], verify=(images, expected), labels=["no", "yes"]
    )
    assert report.keras_accuracy == 1.0
    assert report["tflite"].comparison.accuracy == 1.0
    predictor = kb.runtime.load(report["tflite"].path)
    for image, yes in zip(images, expected, strict=True):
        assert predictor(image, top=1)[0][0] == ("yes" if yes else "no")


def test_features_have_no_accuracy(build, samples, tmp_path):
    model = build(include_top=False, pooling="avg")
    report = kb.export_model(model, tmp_path, ["tflite"], verify=samples)
    assert report.keras_accuracy is None
    assert report["tflite"].comparison.accuracy is None
    assert report["tflite"].comparison.agreement is None


def test_a_layer_may_be_called_like_the_new_input(samples, tmp_path):
    pixels = keras.Input((32, 32, 3), name="pixels")
    x = layers.Conv2D(4, 3, name="image")(pixels)
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    export(keras.Model(pixels, {"out": x}, name="small"), samples, tmp_path)


@pytest.mark.slow
def test_a_network_used_twice_and_a_fixed_batch(build, samples, tmp_path):
    body = build(include_top=False, pooling="avg", name="body")
    image = keras.Input((32, 32, 3), batch_size=1)
    flipped = keras.ops.flip(image, 2)
    x = layers.Average()([body(image), body(inputs=flipped)])
    x = layers.Dense(5)(layers.Dropout(0.5)(inputs=x))
    report = export(keras.Model(image, x, name="twice"), samples, tmp_path)
    assert kb.audit(report["tflite"].path).operators["DEPTHWISE_CONV_2D"] == 0


@pytest.mark.slow
@pytest.mark.full
def test_keras_applications_mobilenet_v2(statistics, tmp_path):
    model = keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3), classes=10)
    images = np.random.default_rng(0).uniform(-1, 1, (4, 64, 64, 3)).astype(np.float32)
    report = export(statistics(model), (images,), tmp_path)
    operators = kb.audit(report["tflite"].path).operators
    assert operators["CONV_2D"] == 35
    assert operators["DEPTHWISE_CONV_2D"] == 17
    assert operators["MUL"] == 0
    assert kb.audit(report["onnx"].path).operators["Conv"] == 52
    assert kb.audit(report["onnx"].path).operators["Mul"] == 0


def test_the_inference_model_holds_stock_layers_only(build):
    found, _ = inference_model(build(se_ratio=0.25, drop_path=0.1), (1, 32, 32, 3))
    for layer in found.layers:
        assert type(layer).__module__.startswith("keras."), layer
        assert not isinstance(layer, layers.BatchNormalization)
    assert found.input_shape == (1, 32, 32, 3)


def standardized(image):
    return layers.Normalization(mean=(0.5, 0.4, 0.3), variance=(0.04, 0.05, 0.06))(image)


@pytest.mark.parametrize(
    "prepared",
    [
        standardized,
        keras.applications.resnet.preprocess_input,
        lambda image: image * keras.ops.convert_to_tensor((0.5, 2.0, 1.0)),
    ],
    ids=["layer", "function", "tensor"],
)
def test_constants_that_layers_hold_are_no_inputs(prepared, samples, trained, tmp_path):
    image = keras.Input((32, 32, 3))
    features = layers.Conv2D(4, 3, 2, activation="relu")(prepared(image))
    output = layers.Dense(3)(layers.GlobalAveragePooling2D()(features))
    export(trained(keras.Model(image, output, name="constants")), samples, tmp_path)
