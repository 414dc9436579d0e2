import keras
import numpy as np
import pytest
from keras import layers

import keras_bottleneck as kb
from keras_bottleneck.keras_private import sublayers
from keras_bottleneck.layers import ConvNormAct
from keras_bottleneck.training import Recipe, freeze, parts


def resnet(**arguments):
    settings = {"filters": (4, 4, 4), "stem": "cifar", "classes": 3, "input_shape": (8, 8, 3)}
    return kb.ResNet("basic", (2, 1, 1), **(settings | arguments))


def leaves(model):
    """Name to `trainable` of every layer with weights that has no layers inside."""
    every = sublayers(model)
    return {one.name: one.trainable for one in every if one.weights and not sublayers(one)}


def expected(model, *prefixes):
    """What `leaves` is where the layers of those names are frozen."""
    return {name: not name.startswith(prefixes) for name in leaves(model)}


def nested():
    backbone = resnet(include_top=False, pooling="avg")
    inputs = keras.Input((8, 8, 3))
    x = layers.Dense(3, name="top")(backbone(layers.Rescaling(2.0)(inputs)))
    return keras.Model(inputs, x)


def sequential():
    backbone = resnet(include_top=False)
    pool = layers.GlobalAveragePooling2D()
    return keras.Sequential([keras.Input((8, 8, 3)), backbone, pool, layers.Dense(3, name="top")])


def flat():
    return kb.graph.flatten(resnet())


@pytest.mark.parametrize("build", [resnet, flat, nested, sequential])
@pytest.mark.parametrize(
    ("up_to", "prefixes"),
    [
        ("stem", ("stem",)),
        ("stage1", ("stem", "stage1")),
        ("stage1_block1", ("stem", "stage1_block1")),
        ("stage3", ("stem", "stage")),
    ],
)
def test_everything_up_to_the_stage_is_frozen_and_the_rest_is_not(build, up_to, prefixes):
    model = build()
    model.trainable = False
    freeze(model, up_to)
    assert leaves(model) == expected(model, *prefixes)
    freeze(model, None)
    assert leaves(model) == expected(model, "none")


@pytest.mark.parametrize("build", [resnet, nested])
def test_trainable_variables_are_those_behind(build):
    model = build()
    every = len(model.trainable_variables)
    freeze(model, "stage2")
    layer_names = {one.path.split("/")[-2] for one in model.trainable_variables}
    assert {name.split("_")[0] for name in layer_names} <= {"stage3", "predictions", "top"}
    assert 0 < len(model.trainable_variables) < every / 2


PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3)).astype("float32")


def caffe(**arguments):
    """A network that normalizes pixels itself, with a convolution that exchanges the channels."""
    prepare = kb.Preprocessing(8, scale=1.0, mean=(104.0, 117.0, 124.0), color_order="bgr")
    return resnet(preprocessing=prepare, include_preprocessing=True, **arguments)


def caffe_inside():
    pool, top = layers.GlobalAveragePooling2D(), layers.Dense(3, "softmax", name="top")
    return keras.Sequential([caffe(include_top=False), pool, top])


def preprocessing(model):
    return next(one for one in sublayers(model) if one.name == "preprocessing")


def test_training_leaves_frozen_weights_and_statistics_bit_for_bit():
    model = resnet(drop_path=0.2)
    freeze(model, "stage2")
    before = {one.path: keras.ops.convert_to_numpy(one).copy() for one in model.weights}
    images = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    model.fit(images, np.arange(16) % 3, batch_size=8, epochs=2, verbose=0)
    frozen = {path for path in before if "stem" in path or "stage1" in path or "stage2" in path}
    assert any(path.endswith("moving_mean") for path in frozen)
    for one in model.weights:
        same = np.array_equal(before[one.path], keras.ops.convert_to_numpy(one))
        assert same == (one.path in frozen), one.path


def test_frozen_part_survives_saving(tmp_path):
    model = resnet()
    freeze(model, "stage1")
    model.save(tmp_path / "model.keras")
    twin = keras.models.load_model(tmp_path / "model.keras")
    assert leaves(twin) == leaves(model) == expected(model, "stem", "stage1")


def test_batch_norm_frozen_inside_a_block_survives_saving(tmp_path):
    model = resnet()
    norms = [layer for layer in sublayers(model) if layer.name.endswith("_bn")]
    for norm in norms:
        norm.trainable = False
    model.save(tmp_path / "model.keras")
    twin = keras.models.load_model(tmp_path / "model.keras")
    assert leaves(twin) == leaves(model) == expected(model, *(norm.name for norm in norms))


def branched():
    """Two branches that meet; `c` reads both."""
    inputs = keras.Input((4,), name="in")
    a = layers.Dense(4, name="a")(inputs)
    left = layers.Dense(4, name="left")(a)
    right = layers.Dense(4, name="right_2")(layers.Dense(4, name="right_1")(a))
    c = layers.Dense(4, name="c")(keras.ops.add(left, right))
    return keras.Model(inputs, layers.Dense(2, name="out")(c))


@pytest.mark.parametrize(
    ("up_to", "frozen"),
    [
        ("a", {"a"}),
        ("left", {"a", "left"}),
        ("right_1", {"a", "right_1"}),
        ("right", {"a", "right_1", "right_2"}),
        ("c", {"a", "left", "right_1", "right_2", "c"}),
    ],
)
def test_models_of_others_are_frozen_up_to_what_the_layer_depends_on(up_to, frozen):
    model = branched()
    freeze(model, up_to)
    assert {name for name, trainable in leaves(model).items() if not trainable} == frozen


@pytest.mark.slow
@pytest.mark.parametrize("build", [caffe, caffe_inside])
def test_preprocessing_in_the_graph_is_never_trained(build):
    model = build()
    assert "preprocessing" in leaves(model)
    for thawed in (lambda: freeze(model, None), lambda: setattr(model, "trainable", True)):
        thawed()
        Recipe().compile(model, steps_per_epoch=1)
        assert leaves(model) == expected(model, "preprocessing")
    freeze(model, None)
    kept = [keras.ops.convert_to_numpy(one).copy() for one in preprocessing(model).weights]
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    model.fit(PIXELS, np.arange(8) % 3, epochs=2, verbose=0)
    for before, after in zip(kept, preprocessing(model).weights, strict=True):
        np.testing.assert_array_equal(before, keras.ops.convert_to_numpy(after))


def test_layers_of_others_that_are_called_preprocessing_are_thawed():
    own = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="learnt")])
    own.name = "preprocessing"
    model = keras.Sequential([own, layers.Dense(2, name="out")])
    freeze(model, "learnt")
    assert leaves(model) == {"learnt": False, "out": True}
    freeze(model, None)
    assert leaves(model) == {"learnt": True, "out": True}


@pytest.mark.slow
def test_keras_applications():
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=3)
    freeze(model, "block_1")
    frozen = {name for name, trainable in leaves(model).items() if not trainable}
    first = [layer.name for layer in model.layers if layer.weights]
    assert frozen == set(first[: first.index("block_1_project_BN") + 1])


def test_shared_layer_is_frozen_if_any_call_of_it_is():
    shared, inputs = layers.Dense(4, name="shared"), keras.Input((4,))
    x = layers.Dense(4, name="between")(shared(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="out")(shared(x)))
    freeze(model, "between")
    assert leaves(model) == {"shared": False, "between": False, "out": True}


@pytest.mark.parametrize("up_to", ["stage4", "stag", "", 3, "stem_", "stage1_block"])
def test_wrong_names_are_refused_and_change_nothing(up_to):
    model = resnet()
    freeze(model, "stage1")
    pattern = "^`up_to` must be one of 'stem', 'stage1', 'stage2', 'stage3', 'predictions', None"
    with pytest.raises(ValueError, match=f"{pattern}.*Received: up_to=") as error:
        freeze(model, up_to)
    assert "\n" not in str(error.value)
    assert leaves(model) == expected(model, "stem", "stage1")


def test_models_without_a_graph_are_refused():
    for model in (keras.Sequential([layers.Dense(2)]), "resnet18"):
        with pytest.raises(ValueError, match="^`model` must be .*Received"):
            freeze(model, "stem")


def names(model):
    found = parts(model)
    return [stage.name for stage in found.stages], [layer.name for layer in found.head]


@pytest.mark.parametrize("build", [resnet, flat])
def test_parts_of_our_models(build):
    assert names(build()) == (["stem", "stage1", "stage2", "stage3"], ["predictions"])


@pytest.mark.slow
def test_parts_of_mobilenet_count_its_last_convolution_as_a_stage():
    stages = ["stem", *(f"stage{index}" for index in range(1, 8)), "head"]
    model = kb.MobileNetV2((32, 32, 3), alpha=0.35, classes=3)
    assert names(model) == (stages, ["predictions"])
    assert names(kb.graph.flatten(model)) == (stages, ["predictions"])


def test_last_convolution_called_head_is_a_stage_and_dense_layers_are_not():
    inputs = keras.Input((8, 8, 3))
    x = ConvNormAct(4, name="head")(ConvNormAct(4, name="stage1_block1")(inputs))
    x = layers.Dense(3, name="head_dense")(layers.GlobalAveragePooling2D()(x))
    assert names(keras.Model(inputs, x)) == (["stage1", "head"], ["head_dense"])


@pytest.mark.parametrize("build", [nested, sequential])
def test_parts_see_into_nested_models(build):
    assert names(build()) == (["stem", "stage1", "stage2", "stage3"], ["top"])


def test_new_convolution_behind_our_stages_belongs_to_the_head():
    backbone = resnet(include_top=False)
    x = layers.Conv2D(4, 1, name="neck")(backbone.output)
    x = layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(x))
    assert names(keras.Model(backbone.input, x)) == (
        ["stem", "stage1", "stage2", "stage3"],
        ["neck", "head"],
    )


def test_parts_of_others_follow_the_size_of_the_feature_maps():
    sizes = [layers.Conv2D(4, 3, stride, padding="same") for stride in (1, 2, 1, 2)]
    for index, layer in enumerate(sizes):
        layer.name = f"conv{index}"
    top = [layers.GlobalAveragePooling2D(), layers.Dense(4, name="d1"), layers.Dense(3, name="d2")]
    model = keras.Sequential([keras.Input((16, 16, 3)), *sizes, *top])
    found = parts(model)
    assert names(model) == (["conv0", "conv2", "conv3"], ["d1", "d2"])
    assert [layer.name for layer in found.stages[1].layers] == ["conv1", "conv2"]


def test_stem_and_head_of_others_are_no_stages_of_ours():
    inputs = keras.Input((16, 16, 3))
    x = layers.BatchNormalization(name="stem_bn")(layers.Conv2D(4, 3, name="stem_conv")(inputs))
    x = layers.Conv2D(4, 3, 2, name="block1_conv")(x)
    x = layers.BatchNormalization(name="head_bn")(layers.Conv2D(4, 3, 2, name="head_conv")(x))
    x = layers.Dense(3, name="classes")(layers.GlobalAveragePooling2D()(x))
    assert names(keras.Model(inputs, x)) == (["stem_bn", "block1_conv", "head_bn"], ["classes"])


def squeeze_excited(x, name):
    """A convolution, its squeeze-excite of two others, padding and what takes that away."""
    x = layers.Conv2D(4, 3, 2, name=f"{name}_conv")(x)
    se = layers.GlobalAveragePooling2D(keepdims=True)(x)
    se = layers.Conv2D(4, 1, name=f"{name}_expand")(layers.Conv2D(1, 1, name=f"{name}_reduce")(se))
    x = layers.ZeroPadding2D()(x * layers.Activation("sigmoid")(se))
    return layers.Conv2D(4, 3, name=f"{name}_spatial")(x)


def squeezing_network():
    inputs = x = keras.Input((32, 32, 3))
    for name in ("a", "b"):
        x = squeeze_excited(x, name)
    x = layers.Conv2D(4, 1, name="last")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return keras.Model(inputs, layers.Dense(3, name="classes")(layers.Flatten()(x)))


def squeezing_inside():
    inputs, inner = keras.Input((32, 32, 3)), squeezing_network()
    features = keras.Model(inner.inputs, inner.get_layer("last").output)
    return keras.Model(inputs, layers.Dense(3, name="classes")(layers.Flatten()(features(inputs))))


@pytest.mark.parametrize("build", [squeezing_network, squeezing_inside])
def test_squeeze_excite_of_others_belongs_to_the_stage_around_it(build):
    found = parts(build())
    assert [[layer.name for layer in stage.layers] for stage in found.stages] == [
        ["a_conv", "a_reduce", "a_expand", "a_spatial"],
        ["b_conv", "b_reduce", "b_expand", "b_spatial"],
        ["last"],
    ]
    assert [layer.name for layer in found.head] == ["classes"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "stages", "head"),
    [
        ("MobileNetV3Small", 6, "logits"),  # five sizes, and the convolution behind the pooling
        ("EfficientNetB0", 5, "predictions"),
        ("EfficientNetV2B0", 5, "predictions"),
    ],
)
def test_stages_of_keras_applications_hold_what_lies_between_two_sizes(name, stages, head):
    model = getattr(keras.applications, name)((96, 96, 3), weights=None, classes=3)
    found = parts(model)
    assert (len(found.stages), [layer.name for layer in found.head]) == (stages, [head])
    order = [layer.name for layer in model.layers if layer.trainable_weights]
    spans = [[order.index(layer.name) for layer in stage.layers] for stage in found.stages]
    assert sum(map(sorted, spans), []) == list(range(order.index(head)))


def test_parts_leave_out_preprocessing_in_the_graph():
    assert names(caffe()) == names(resnet())
    for stage in parts(caffe()).stages:
        assert "preprocessing" not in [layer.name for layer in stage.layers]


def test_head_of_a_model_that_ends_in_convolutions_is_the_last_of_them():
    convolutions = [layers.Conv2D(3, 1, name="body"), layers.Conv2D(3, 1, name="classes")]
    tail = [layers.GlobalAveragePooling2D(), layers.Softmax()]
    model = keras.Sequential([keras.Input((4, 4, 3)), *convolutions, *tail])
    assert names(model) == (["body"], ["classes"])


def test_parts_need_weights():
    model = keras.Sequential([keras.Input((4,)), layers.Softmax(name="alone")])
    with pytest.raises(ValueError, match="^`model` must have layers with weights.*Received"):
        parts(model)
