"""`flatten` computes what the model computes, exactly, and shares nothing with it."""

import gc
import weakref

import keras
import pytest

from keras_bottleneck import layers
from keras_bottleneck.graph import flatten
from keras_bottleneck.graph.flatten import opened
from keras_bottleneck.models import FPN, MobileNetV2, ResNet, ResNet18

SMALL = {"filters": (8, 12), "stem": "cifar", "include_top": False, "input_shape": (9, 9, 3)}


def small(name="net", **architecture):
    return ResNet("basic", (1, 1), name=name, **SMALL, **architecture)


def nested_models():
    image = keras.Input((9, 9, 3), name="photo")
    deep = keras.Sequential([keras.layers.UpSampling2D(9), keras.layers.Conv2D(3, 1), small("in")])
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True)(small("out")(image))
    return keras.Model(image, deep(pooled))


def sequential():
    conv = layers.ConvNormAct(4)
    return keras.Sequential([keras.Input((9, 9, 3)), conv, keras.Sequential([small_head()])])


def small_head():
    return keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])


def shared_layer():
    image = keras.Input((9, 9, 3))
    conv = keras.layers.Conv2D(3, 3, padding="same")
    return keras.Model(image, conv(keras.layers.ReLU()(conv(image))))


def shared_block():
    image = keras.Input((9, 9, 3))
    block = layers.BasicBlock(3, se_ratio=0.5)
    return keras.Model(image, block(block(image)))


def shared_model():
    image = keras.Input((9, 9, 3))
    inner = keras.Sequential([keras.Input((9, 9, 3)), layers.BasicBlock(3)])
    return keras.Model(image, keras.layers.Add()([inner(image), inner(inner(image))]))


def two_inputs():
    left, right = keras.Input((9, 9, 3), name="left"), keras.Input((9, 9, 3), name="right")
    block = layers.BasicBlock(4)
    return keras.Model([left, right], keras.layers.Subtract()([block(left), block(right)]))


def dictionaries():
    inputs = {"b": keras.Input((9, 9, 3), name="b"), "a": keras.Input((9, 9, 3), name="a")}
    y = layers.BasicBlock(4)(keras.layers.Subtract()([inputs["a"], inputs["b"]]))
    outputs = {"sum": y, "mean": keras.layers.GlobalAveragePooling2D()(y)}
    inner = keras.Model(inputs, outputs)
    z, w = keras.Input((9, 9, 3), name="z"), keras.Input((9, 9, 3), name="w")
    called = inner({"a": z, "b": w})
    return keras.Model({"w": w, "z": z}, {"out": called["sum"], "also": called["mean"]})


def bare_operations():
    image = keras.Input((9, 9, 3))
    x = keras.ops.pad(image / 255.0 - 0.5, [[0, 0], [1, 1], [1, 1], [0, 0]])
    x = layers.ConvNormAct(4)(x)
    return keras.Model(image, keras.ops.concatenate([keras.ops.mean(x, axis=3), x[..., 0]], axis=1))


def half_precision():
    image = keras.Input((9, 9, 3))
    x = layers.Bottleneck(4, 2, dtype="mixed_bfloat16")(image)
    return keras.Model(image, keras.layers.Dense(2, dtype="float32")(x))


MODELS = {
    "se_and_drop_path": lambda: small(se_ratio=0.25, drop_path=0.2),
    "pad": lambda: small(shortcut="pad"),
    "pool": lambda: small(shortcut="pool"),
    "plain": lambda: small(shortcut="none"),
    "separable": lambda: small(conv="separable"),
    "asymmetric": lambda: small(conv="asymmetric"),
    "csp": lambda: keras.Sequential([keras.Input((9, 9, 3)), layers.CSPLayer(6, 2)]),
    "repvgg": lambda: keras.Sequential([keras.Input((9, 9, 3)), layers.RepVGGBlock(3)]),
    "pyramid": lambda: FPN(small(), 4),
    "nested_models": nested_models,
    "sequential": sequential,
    "shared_layer": shared_layer,
    "shared_block": shared_block,
    "shared_model": shared_model,
    "two_inputs": two_inputs,
    "dictionaries": dictionaries,
    "bare_operations": bare_operations,
    "half_precision": half_precision,
}


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS.keys())
def model(request, trained):
    return trained(request.param())


@pytest.fixture(scope="module")
def flat(model):
    return flatten(model)


def inputs_of(model, noise):
    if isinstance(model, keras.Sequential):
        return noise(2, *model.input_shape[1:])
    drawn = [noise(2, *x.shape[1:], seed=seed) for seed, x in enumerate(model.inputs)]
    return keras.tree.pack_sequence_as(model.input, drawn)


def parts(model):
    """All layers inside a model, composite or not."""
    yield from model._flatten_layers(include_self=False, recursive=True)


def test_outputs_are_equal_to_the_last_bit(model, flat, noise, max_difference):
    x = inputs_of(model, noise)
    y, expected = flat(x), model(x)
    keras.tree.assert_same_structure(y, expected)
    assert max_difference(y, expected) == 0.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: ResNet18(input_shape=(33, 33, 3), classes=4, se_ratio=0.25, drop_path=0.2),
        lambda: MobileNetV2((32, 32, 3), 0.35, classes=4),
    ],
    ids=["resnet18", "mobilenet"],
)
def test_outputs_of_whole_networks_are_equal_to_the_last_bit(make, trained, noise, max_difference):
    model = trained(make())
    x = inputs_of(model, noise)
    assert max_difference(flatten(model)(x), model(x)) == 0.0


def test_no_composite_layer_remains(flat):
    assert type(flat) is keras.Model or type(flat).__name__ == "Functional"
    for layer in flat.layers:
        assert not isinstance(layer, (layers.Block, keras.Model))


def test_names_and_parameters_are_kept(model, flat):
    assert flat.name == model.name
    assert [x.name for x in flat.inputs] == [x.name for x in model.inputs]
    assert flat.count_params() == model.count_params()
    names = [layer.name for layer in flat.layers]
    assert len(names) == len(set(names))


def test_the_copy_shares_nothing_with_the_original(model, noise, max_difference):
    x = inputs_of(model, noise)
    expected = model(x)
    flat = flatten(model)
    assert not {id(layer) for layer in parts(flat)} & {id(layer) for layer in parts(model)}
    flat.set_weights([weight + 1 for weight in flat.get_weights()])
    assert max_difference(model(x), expected) == 0.0


def test_the_original_keeps_no_trace(model):
    def nodes():
        return [(len(part._inbound_nodes), len(part._outbound_nodes)) for part in parts(model)]

    before = nodes()
    flatten(model)
    assert nodes() == before


def test_the_copy_does_not_keep_the_original_in_memory():
    model = small()
    flat, block = flatten(model), weakref.ref(model.get_layer("stage1_block1"))
    inner = weakref.ref(block().first)
    del model
    gc.collect()
    assert block() is None and inner() is None
    assert flat.count_params()


def test_a_flat_model_is_saved_and_flattened_again(model, flat, noise, max_difference, tmp_path):
    x = inputs_of(model, noise)
    flat.save(tmp_path / "flat.keras")
    loaded = keras.saving.load_model(tmp_path / "flat.keras")
    assert max_difference(loaded(x), flat(x)) == 0.0
    again = flatten(flat)
    assert [layer.name for layer in again.layers] == [layer.name for layer in flat.layers]


def test_outputs_of_inner_layers_can_be_read(noise, max_difference):
    model = small()
    flat, x = flatten(model), noise(2, 9, 9, 3)
    inner = keras.Model(flat.input, flat.get_layer("stage1_block1_act").output)
    outer = keras.Model(model.input, model.get_layer("stage1_block1").output)
    assert max_difference(inner(x), outer(x)) == 0.0


def test_names_that_collide_are_prefixed_by_what_held_them():
    image = keras.Input((9, 9, 3))
    x = keras.Sequential([keras.Input((9, 9, 3)), keras.layers.Conv2D(3, 1, name="c")], name="a")(
        image
    )
    x = keras.Sequential([keras.Input((9, 9, 3)), keras.layers.Conv2D(3, 1, name="c")], name="b")(x)
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="c")(x))
    names = [layer.name for layer in flatten(model).layers[1:]]
    assert names == ["a_c", "b_c", "c"]


@pytest.mark.slow
def test_shortcuts_of_different_widths_stay_different(noise, max_difference):
    # Their bare `pad` operations live only while their block is inlined: a new one may take the
    # address of an old one.
    model = ResNet(
        "basic",
        (1,) * 6,
        filters=(4, 5, 8, 9, 13, 14),
        stem="cifar",
        shortcut="pad",
        include_top=False,
        input_shape=(16, 16, 3),
    )
    gc.set_threshold(1)
    try:
        flat = flatten(model)
    finally:
        gc.set_threshold(700, 10, 10)
    x = noise(1, 16, 16, 3)
    assert max_difference(flat(x), model(x)) == 0.0


def test_frozen_layers_stay_frozen():
    model = keras.Sequential([small("backbone"), small_head()])
    model.build((None, 9, 9, 3))
    model.layers[0].trainable = False
    flat = flatten(model)
    assert [v.name for v in flat.trainable_variables] == ["kernel", "bias"]


@pytest.mark.parametrize("make", [lambda: small("inner"), lambda: layers.BasicBlock(3)])
def test_a_call_may_have_said_training(make, noise, max_difference):
    image = keras.Input((9, 9, 3))
    model, x = keras.Model(image, make()(image, training=False)), noise(2, 9, 9, 3)
    assert max_difference(flatten(model)(x), model(x)) == 0.0


def test_an_adapted_normalization_keeps_its_statistics(noise, max_difference):
    normalization = keras.layers.Normalization()
    normalization.adapt(3 * noise(20, 9, 9, 3) + 5)
    image = keras.Input((9, 9, 3))
    model, x = keras.Model(image, layers.BasicBlock(4)(normalization(image))), noise(2, 9, 9, 3)
    assert max_difference(flatten(model)(x), model(x)) == 0.0


def test_unknown_image_sizes_stay_unknown(noise, max_difference):
    model = ResNet("basic", (1, 1), **{**SMALL, "input_shape": (None, None, 3)}, se_ratio=0.5)
    flat, x = flatten(model), noise(2, 11, 6, 3)
    assert flat.input_shape == (None, None, None, 3)
    assert max_difference(flat(x), model(x)) == 0.0


def test_a_layer_of_the_user_is_copied_whole(noise, max_difference):
    cell = keras.layers.TimeDistributed(keras.layers.Dense(4))
    sequence = keras.Input((5, 3))
    model, x = (
        keras.Model(sequence, keras.layers.Bidirectional(keras.layers.LSTM(2))(cell(sequence))),
        noise(2, 5, 3),
    )
    assert max_difference(flatten(model)(x), model(x)) == 0.0


class Unbuildable(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("make", "received"),
    [
        (Unbuildable, "model=Unbuildable 'unbuildable"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "model=Sequential 'sequential"),
        (lambda: keras.layers.Dense(2), "model=<Dense name=dense"),
        (lambda: None, "model=None"),
    ],
    ids=["subclassed", "unbuilt", "layer", "None"],
)
def test_what_has_no_graph_is_an_error(make, received):
    with pytest.raises(ValueError) as error:
        flatten(make())
    message = str(error.value)
    assert message.startswith("`model` must be a functional or Sequential Keras model with a known")
    assert f". Received: {received}" in message
    assert "\n" not in message


class Gated(keras.layers.Layer):
    """A layer of another package, made of Keras layers, `keras.ops` and layers like it."""

    def __init__(self, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(3, 3, padding="same", name="conv")
        self.norm = keras.layers.BatchNormalization(name="norm")
        self.inner = inner

    def call(self, inputs):
        x = keras.ops.relu(self.norm(self.conv(inputs)))
        if self.inner is not None:
            x = self.inner(x)
        return x + 0.5 * inputs


class Scaled(Gated):
    """A layer with a weight of its own."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(3,), initializer="ones")

    def call(self, inputs):
        return super().call(inputs) * self.scale


class Switching(Gated):
    """A layer that does something else in training."""

    def call(self, inputs, training=None):
        return super().call(inputs) * (2.0 if training else 1.0)


class Looking(keras.layers.Layer):
    """A layer that wants values."""

    def call(self, inputs):
        return inputs if keras.ops.max(inputs) > 0.0 else -inputs

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape)


def test_layers_of_other_packages_are_opened(trained, noise, max_difference):
    image = keras.Input((9, 9, 3))
    gated = Gated(Gated(name="within"), name="gated")
    model = trained(keras.Model(image, gated(gated(image))))
    found = opened(model)
    x = noise(2, 9, 9, 3)
    assert max_difference(found(x), model(x)) < 1e-5
    convolutions = [one for one in found.layers if isinstance(one, keras.layers.Conv2D)]
    assert {one.name for one in convolutions} == {"gated_conv", "gated_within_conv"}
    assert not any(isinstance(one, Gated) for one in found.layers)
    assert [len(one._inbound_nodes) for one in (gated.conv, gated.inner.conv)] == [0, 0]


@pytest.mark.parametrize("kind", [Scaled, Switching, Looking])
def test_others_stay_whole(kind):
    image = keras.Input((9, 9, 3))
    found = opened(keras.Model(image, kind(name="whole")(image)))
    assert [one.name for one in found.layers[1:]] == ["whole"]
