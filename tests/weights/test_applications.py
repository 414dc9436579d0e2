"""Networks of keras.applications and the same of ours, with one set of weights."""

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck import weights

from ..marks import some_full

TOLERANCE = 1e-4
RESNET = {"stride_on": "1x1", "epsilon": 1.001e-5}
MOBILENET = {"padding": "same", "epsilon": 1e-3}
# By the channels of the images.
SIZES = {3: (97, 160, 224), 1: (160,), 4: (97,)}


def with_statistics(model, seed=0):
    """Gives `model` what training leaves: biases, scales and shifts, the statistics of a batch
    under them, and blocks that add little to what goes round them (see `torch_reference`)."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        for variable in layer.weights:
            if variable.name in ("bias", "beta"):
                variable.assign(generator.uniform(-0.3, 0.3, variable.shape))
            elif variable.name == "gamma":
                scale = 0.2 if layer.name.endswith("_3_bn") else 1.0
                variable.assign(scale * generator.uniform(0.5, 1.5, variable.shape))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # keep the last batch's statistics
    batch = (16, *model.input_shape[1:])
    model(generator.normal(size=batch).astype(np.float32), training=True)
    return model


def difference(ours, theirs, seed=1):
    """The largest difference of the logits on two images."""
    images = np.random.default_rng(seed).normal(size=(2, *theirs.input_shape[1:]))
    images = images.astype(np.float32)
    # Called, because `predict` compiles a function for each of many networks.
    wanted, found = (keras.ops.convert_to_numpy(one(images)) for one in (theirs, ours))
    assert found.shape == wanted.shape
    assert np.ptp(wanted, axis=0).max() > 0.01  # logits that tell the images apart
    return float(np.abs(found - wanted).max())


def small_resnet(image):
    """Two bottlenecks with the names, the biases and the stride of keras.applications."""

    def conv_norm(x, name, filters, size=1, stride=1, padding="valid"):
        conv = keras.layers.Conv2D(filters, size, stride, padding, name=f"{name}_conv")
        return keras.layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(conv(x))

    def block(x, name, filters, stride):
        shortcut = conv_norm(x, f"{name}_0", 4 * filters, stride=stride)
        y = keras.layers.ReLU()(conv_norm(x, f"{name}_1", filters, stride=stride))
        y = keras.layers.ReLU()(conv_norm(y, f"{name}_2", filters, 3, padding="same"))
        y = conv_norm(y, f"{name}_3", 4 * filters)
        return keras.layers.ReLU()(keras.layers.Add()([shortcut, y]))

    x = keras.layers.ZeroPadding2D(3)(image)
    x = keras.layers.ReLU()(conv_norm(x, "conv1", 8, 7, 2))
    x = keras.layers.MaxPooling2D(3, 2)(keras.layers.ZeroPadding2D(1)(x))
    x = block(block(x, "conv2_block1", 8, 1), "conv3_block1", 16, 2)
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(image, keras.layers.Dense(5, name="predictions")(x), name="resnet")


def small_resnet_v2(image):
    """Four pre-activated bottlenecks, with the names and the strides of keras.applications."""
    stack = keras.src.applications.resnet.stack_residual_blocks_v2
    x = keras.layers.ZeroPadding2D(3)(image)
    x = keras.layers.Conv2D(8, 7, 2, name="conv1_conv")(x)
    x = keras.layers.MaxPooling2D(3, 2)(keras.layers.ZeroPadding2D(1)(x))
    x = stack(stack(x, 8, 2, name="conv2"), 16, 2, stride1=1, name="conv3")
    x = keras.layers.BatchNormalization(epsilon=1.001e-5, name="post_bn")(x)
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(keras.layers.ReLU()(x))
    return keras.Model(image, keras.layers.Dense(5, name="predictions")(x), name="resnet_v2")


@pytest.fixture(scope="module")
def resnet(trained):
    return trained(small_resnet(keras.Input((33, 33, 3))))


def ours(**arguments):
    given = {**RESNET, "classes": 5, "input_shape": (33, 33, 3), **arguments}
    return kb.ResNet("bottleneck", (1, 1), filters=(8, 16), classifier_activation=None, **given)


def save(model, path, optimizer="adam"):
    """In one of Keras's formats, with the slots of an optimizer."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    return path


def test_a_model(resnet):
    model = ours()
    weights.load(model, resnet)
    assert difference(model, resnet) < 1e-5


@pytest.mark.parametrize("name", ["a.h5", "a.weights.h5", "a.keras"])
def test_files(resnet, tmp_path, name):
    path = save(resnet, tmp_path / name)
    model = ours()
    weights.load(model, path)
    assert difference(model, resnet) < 1e-5


def test_a_file_of_many_slots(resnet, tmp_path):
    """AMSGrad with a moving average keeps four more of each weight."""
    optimizer = keras.optimizers.Adam(amsgrad=True, use_ema=True)
    path = save(resnet, tmp_path / "a.keras", optimizer)
    model = ours(include_top=False)
    weights.load(model, path, skip_head=True)
    found = [model.get_layer("stem").conv.kernel, resnet.get_layer("conv1_conv").kernel]
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, found))


def test_a_file_as_keras_2_wrote_it(resnet, tmp_path):
    """With the names of variables of TensorFlow 1 and 2, bytes or text."""
    h5py = pytest.importorskip("h5py")
    for outer in (None, "model_weights"):
        path = tmp_path / f"{outer}.h5"
        with h5py.File(path, "w") as file:
            group = file if outer is None else file.create_group(outer)
            group.attrs["layer_names"] = [layer.name.encode() for layer in resnet.layers]
            for layer in resnet.layers:
                part = group.create_group(layer.name)
                names = [f"{layer.name}/{one.name}:0" for one in layer.weights]
                part.attrs["weight_names"] = [one.encode() for one in names]
                for name, value in zip(names, layer.get_weights(), strict=True):
                    part[name] = value
        model = ours()
        weights.load(model, path)
        assert difference(model, resnet) < 1e-5


@pytest.mark.slow
@pytest.mark.full
def test_a_mobilenet_in_a_users_model(tmp_path, trained):
    """As transfer learning leaves it: a model in a model."""
    theirs = keras.applications.MobileNetV2((33, 33, 3), alpha=0.35, weights=None, classes=7)
    trained(theirs)
    image = keras.Input((33, 33, 3))
    source = keras.Model(image, theirs(keras.layers.Rescaling(1.0)(image)))
    model = kb.MobileNetV2((33, 33, 3), alpha=0.35, classes=7, epsilon=1e-3)
    weights.load(model, source)
    # Both flat networks have their layers in the order in which they compute.
    pairs = zip(kb.graph.flatten(model).get_weights(), theirs.get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
    whole = [np.array(one) for one in model.get_weights()]
    for name in ("a.h5", "a.weights.h5", "a.keras"):
        path = tmp_path / name
        source.save_weights(path) if "weights" in name else source.save(path)
        model.set_weights([0 * one for one in whole])
        weights.load(model, path)
        assert all(map(np.array_equal, model.get_weights(), whole))


V2 = {"stride_on": "3x3", "epsilon": 1.001e-5, "stride_at": "last", "conv_bias": True}


def ours_v2(**arguments):
    given = {
        **V2,
        "preactivation": True,
        "filters": (8, 16),
        "classes": 5,
        "input_shape": (65, 65, 3),
        **arguments,
    }
    return kb.ResNet("bottleneck", (2, 2), classifier_activation=None, **given)


def test_v2(trained, refused, tmp_path):
    """Which block strides shows in no tensor: the layout tells, and our own files do."""
    theirs = trained(small_resnet_v2(keras.Input((65, 65, 3))))
    model = ours_v2()
    weights.load(model, theirs)
    assert difference(model, theirs) < 1e-5
    first = ours_v2(stride_at="first")
    assert "built with stride_at='last', as model 'resnet_v2'" in refused(first, theirs)
    assert "conv1_conv/bias" in refused(ours_v2(conv_bias=False), theirs)
    model.save(tmp_path / "own.keras")
    kb.graph.flatten(model).save(tmp_path / "flat.keras")
    weights.save(model, tmp_path / "own.safetensors", "keras")
    for source in (model, *tmp_path.iterdir()):
        again = ours_v2()
        weights.load(again, source)
        assert difference(again, theirs) < 1e-5
        assert "built with stride_at='last'" in refused(first, source)
        assert "built with stride_at='first'" in refused(model, trained(first))


def test_what_the_source_is_known_for(resnet, refused):
    assert "stride_on='1x1', epsilon=1.001e-05, as" in refused(
        ours(stride_on="3x3", epsilon=1e-5), resnet
    )
    assert "padding='symmetric', as" in refused(ours(padding="same"), resnet)
    assert "`stride_on` must be '1x1', as model" in refused(ours(), resnet, stride_on="3x3")
    assert "`epsilon` must be 1.001e-05, as model" in refused(ours(), resnet, epsilon=1e-5)
    weights.load(ours(), resnet, stride_on="1x1", padding="symmetric", epsilon=1.001e-5)


def test_another_head(resnet, refused):
    other = ours(classes=9)
    assert "`skip_head=True`" in refused(other, resnet)
    weights.load(other, resnet, skip_head=True)
    bare = keras.Model(resnet.inputs[0], resnet.get_layer("avg_pool").output)
    assert "`skip_head=True`" in refused(ours(), bare)
    weights.load(other, bare, skip_head=True)
    pooled = ours(include_top=False, pooling="avg")
    weights.load(pooled, bare)
    assert difference(pooled, bare) < 1e-5


def test_grey_images(resnet, refused, noise, max_difference):
    grey = ours(input_shape=(33, 33, 1))
    assert "`adapt_stem=True`" in refused(grey, resnet)
    weights.load(grey, resnet, adapt_stem=True)
    images = noise(2, 33, 33, 1)
    assert max_difference(grey(images), resnet(images.repeat(3, -1))) < 1e-4


def test_other_networks_of_keras_applications_are_refused(refused):
    """The first MobileNet has other names; ResNet V2, whose names are known, another order."""
    image = keras.Input((33, 33, 3))
    x = keras.layers.Conv2D(8, 3, 2, use_bias=False, name="conv1")(image)
    x = keras.layers.BatchNormalization(name="conv1_bn")(x)
    assert "weights of one of" in refused(ours(), keras.Model(image, x))
    assert "stage1_block1" in refused(ours(), small_resnet_v2(keras.Input((33, 33, 3))))


# Full size.

FULL = {
    "ResNet50": (keras.applications.ResNet50, kb.ResNet50, {}, RESNET),
    "ResNet101": (keras.applications.ResNet101, kb.ResNet101, {}, RESNET),
    "ResNet152": (keras.applications.ResNet152, kb.ResNet152, {}, RESNET),
    "ResNet50V2": (keras.applications.ResNet50V2, kb.ResNet50V2, {}, V2),
    "MobileNetV2 1.0": (keras.applications.MobileNetV2, kb.MobileNetV2, {}, MOBILENET),
    "MobileNetV2 0.35": (
        keras.applications.MobileNetV2,
        kb.MobileNetV2,
        {"alpha": 0.35},
        MOBILENET,
    ),
}
# Deeper or narrower than those above.
OTHERS = ("ResNet101", "ResNet152", "MobileNetV2 0.35")


@pytest.mark.slow
@pytest.mark.parametrize("channels", some_full(SIZES, [1, 4]))
@pytest.mark.parametrize("name", some_full(FULL, OTHERS))
@pytest.mark.full
def test_full_size(name, channels):
    their_maker, our_maker, common, arguments = FULL[name]
    common = {**common, "classifier_activation": None}
    model = our_maker(**common, input_shape=(None, None, channels), **arguments)
    trained = None
    for size in SIZES[channels]:
        theirs = their_maker(weights=None, **common, input_shape=(size, size, channels))
        if trained is None:
            trained = with_statistics(theirs).get_weights()
        theirs.set_weights(trained)
        weights.load(model, theirs)
        found = difference(model, theirs)
        print(f"{name}, {size} px, {channels} channels: {found:.2g}")
        assert found <= TOLERANCE


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("ending", [".h5", ".weights.h5", ".keras"])
@pytest.mark.parametrize("name", ["ResNet50", "MobileNetV2 1.0"])
def test_files_of_full_size(name, ending, tmp_path):
    their_maker, our_maker, common, arguments = FULL[name]
    common = {**common, "input_shape": (97, 97, 3), "classifier_activation": None}
    theirs = with_statistics(their_maker(weights=None, **common))
    path = save(theirs, tmp_path / f"network{ending}")
    model = our_maker(**common, **arguments)
    weights.load(model, path)
    assert difference(model, theirs) <= TOLERANCE
