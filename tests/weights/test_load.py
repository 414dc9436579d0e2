"""What `load` takes, what it refuses, and that it says which argument helps."""

import inspect
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import keras_bottleneck as kb
from keras_bottleneck import weights
from keras_bottleneck.weights.facts import facts_of

from .networks import TOLD, basic, bottleneck, equal, mobilenet, torchvision_state, variables


@pytest.fixture(scope="module")
def model(trained):
    """One for all tests: whatever is refused leaves it as it is."""
    return trained(basic(), seed=5)


@pytest.fixture
def state():
    return torchvision_state()


def loaded(source, model=None, **arguments):
    model = model or basic()
    weights.load(model, source, **arguments)
    return model


# What goes where.

TORCH_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def test_each_tensor_is_where_it_belongs(model, state):
    found = variables(loaded(state, model, **TOLD))
    pairs = {
        "stem_conv": "conv1",
        "stem_bn": "bn1",
        "stage1_block1_first_conv": "layer1.0.conv1",
        "stage1_block1_first_bn": "layer1.0.bn1",
        "stage1_block1_second_conv": "layer1.0.conv2",
        "stage1_block1_second_bn": "layer1.0.bn2",
        "stage2_block1_first_conv": "layer2.0.conv1",
        "stage2_block1_first_bn": "layer2.0.bn1",
        "stage2_block1_second_conv": "layer2.0.conv2",
        "stage2_block1_second_bn": "layer2.0.bn2",
        "stage2_block1_shortcut_conv": "layer2.0.downsample.0",
        "stage2_block1_shortcut_bn": "layer2.0.downsample.1",
        "predictions": "fc",
    }
    used = 0
    for ours, theirs in pairs.items():
        for name in [name for name in found if name.rpartition("/")[0] == ours]:
            kind = name.rpartition("/")[2]
            tensor = state[f"{theirs}.{TORCH_NAMES[kind]}"]
            turned = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[tensor.ndim]
            assert np.array_equal(found[name], tensor.transpose(turned)), name
            used += 1
    assert used == len(found)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_training_scripts(state, prefix):
    named = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    assert equal(loaded(named, **TOLD), loaded(state, **TOLD))


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net"])
def test_checkpoints(state, key):
    checkpoint = {"epoch": 90, "arch": "resnet18", key: state, "optimizer": {"state": {}}}
    assert equal(loaded(checkpoint, **TOLD), loaded(state, **TOLD))
    assert equal(loaded({"model": checkpoint}, **TOLD), loaded(state, **TOLD))


def test_a_checkpoint_that_contains_itself(refused, model):
    checkpoint = {"epoch": 90}
    checkpoint["state_dict"] = checkpoint
    message = refused(model, checkpoint)
    assert message.endswith("Received: the state dict with epoch, state_dict")


@pytest.mark.parametrize("averages", ["state_dict_ema", "model_ema", "ema"])
def test_averages_of_weights(refused, model, state, averages):
    """Alone they are what is meant; beside the weights they might be."""
    assert equal(loaded({averages: state, "epoch": 3}, **TOLD), loaded(state, **TOLD))
    message = refused(model, {"state_dict": state, averages: state}, **TOLD)
    assert f"pass what is under 'state_dict' or under {averages!r}" in message


def test_torchs_averaged_model(state):
    averaged = {f"module.{name}": tensor for name, tensor in state.items()}
    averaged["n_averaged"] = np.array(5)
    assert equal(loaded(averaged, **TOLD), loaded(state, **TOLD))


def test_the_order_of_a_state_dict_does_not_matter(state):
    assert equal(loaded(dict(reversed(state.items())), **TOLD), loaded(state, **TOLD))


def test_half_and_double_precision(state):
    for dtype in ("float16", "float64", "bfloat16"):
        stored = {name: tensor.astype(dtype) for name, tensor in state.items()}
        found = variables(loaded(stored, **TOLD))["stem_conv/kernel"]
        wanted = stored["conv1.weight"].astype(np.float64).transpose(2, 3, 1, 0)
        assert np.array_equal(found, wanted)


def test_keras_variables_and_arrays_of_the_backend(state):
    arrays = {name: keras.ops.convert_to_tensor(tensor) for name, tensor in state.items()}
    assert equal(loaded(arrays, **TOLD), loaded(state, **TOLD))
    own = {name: keras.Variable(value) for name, value in variables(basic()).items()}
    loaded(own, **TOLD, padding="symmetric")


def test_paths_of_all_types(tmp_path, state):
    save_file(state, tmp_path / "a.SafeTensors")
    assert equal(loaded(tmp_path / "a.SafeTensors", **TOLD), loaded(state, **TOLD))
    assert equal(loaded(str(tmp_path / "a.SafeTensors"), **TOLD), loaded(state, **TOLD))


@pytest.mark.slow
def test_flat_models(state, noise, max_difference):
    model, flat = basic(), kb.graph.flatten(basic())
    weights.load(model, state, **TOLD)
    weights.load(flat, state, **TOLD)
    assert equal(model, flat)
    images = noise(2, 32, 32, 3)
    assert max_difference(model(images), flat(images)) < 1e-6


def test_a_flat_model_is_a_source(trained):
    source = trained(basic())
    assert equal(loaded(kb.graph.flatten(source)), source)


def test_biases_of_convolutions_are_absorbed(state, noise, max_difference):
    """A source with biases before its batch norms, into a network without and one with them."""
    biased = {
        **state,
        "conv1.bias": np.array([0.3, -2, 0.5, 1], np.float32),
        "layer2.0.conv1.bias": np.linspace(-1, 1, 8, dtype=np.float32),
        "layer2.0.downsample.0.bias": np.linspace(2, 3, 8, dtype=np.float32),
    }
    model = loaded(biased, **TOLD)
    found = variables(model)["stem_bn/moving_mean"]
    exact = state["bn1.running_mean"].astype(np.float64) - biased["conv1.bias"]
    assert np.array_equal(found, exact.astype(np.float32))
    by_hand = loaded(state, **TOLD)
    for name in ("bn1", "layer2.0.bn1", "layer2.0.downsample.1"):
        conv = {"bn1": "conv1", "layer2.0.bn1": "layer2.0.conv1"}.get(name, "layer2.0.downsample.0")
        state[f"{name}.running_mean"] = state[f"{name}.running_mean"] - biased[f"{conv}.bias"]
    weights.load(by_hand, state, **TOLD)
    images = noise(2, 32, 32, 3)
    assert max_difference(model(images), by_hand(images)) < 1e-5


def test_a_folded_network_needs_biases(refused, state):
    folded = kb.fold(basic())
    message = refused(folded, state, **TOLD)
    assert "without conv1.bias" in message
    assert "bn1.running_var" in message


# Models of all kinds.


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_float32_weights(dtype_policy, state, policy):
    dtype_policy(policy)
    mixed = loaded(state, **TOLD)
    dtype_policy("float32")
    assert equal(mixed, loaded(state, **TOLD))


def test_half_precision_rounds_once_and_holds_no_more(dtype_policy, refused, state):
    dtype_policy("float16")
    model = loaded(state, **TOLD)
    wanted = state["bn1.weight"].astype("float16").astype(np.float64)
    assert np.array_equal(variables(model)["stem_bn/gamma"], wanted)
    state["bn1.running_var"][0] = 1e5
    assert "infinity in bn1.running_var" in refused(model, state, **TOLD)


def test_frozen_layers_are_loaded_too(state):
    model = basic()
    model.trainable = False
    assert equal(loaded(state, model, **TOLD), loaded(state, **TOLD))
    assert not model.trainable


@pytest.mark.slow
@pytest.mark.full
def test_a_model_that_has_been_trained_goes_on_training(state, noise):
    model = basic()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    images, labels = noise(4, 32, 32, 3), np.arange(4) % 3
    model.fit(images, labels, verbose=0)
    weights.load(model, state, **TOLD)
    assert equal(model, loaded(state, **TOLD))
    model.fit(images, labels, verbose=0)
    assert not equal(model, loaded(state, **TOLD))


def test_a_classifier_whose_activation_is_a_layer(state):
    """The layer holds another layer then, and has weights of its own all the same."""
    model = loaded(state, basic(classifier_activation=keras.layers.Softmax()), **TOLD)
    dense = model.get_layer("predictions")
    assert np.array_equal(dense.get_weights()[0], state["fc.weight"].T)


def own_head(base, name="scores"):
    """A network inside a user's model, with layers before and behind."""
    image = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = base(x)
    x = keras.layers.BatchNormalization(epsilon=0.01)(x)
    return keras.Model(image, keras.layers.Dense(7, name=name)(x))


@pytest.mark.parametrize("name", ["scores", "head_dense", "stem_cells", "predictions"])
def test_a_network_inside_a_users_model(refused, state, name):
    base = basic(include_top=False, pooling="avg")
    model = own_head(base, name)
    assert "`skip_head=True`" in refused(model, state, **TOLD)
    before = variables(model)[f"{name}/kernel"]
    weights.load(model, state, **TOLD, skip_head=True)
    assert np.array_equal(variables(model)[f"{name}/kernel"], before)
    bare = loaded(state, basic(include_top=False, pooling="avg"), **TOLD, skip_head=True)
    assert equal(base, bare)


@pytest.mark.slow
def test_a_users_model_is_a_source(trained, tmp_path):
    model = trained(own_head(basic(include_top=False, pooling="avg")))
    model.save(tmp_path / "users.keras")
    for source in (model, tmp_path / "users.keras"):
        base = basic(include_top=False)
        weights.load(base, source, skip_head=True)
        assert np.array_equal(
            variables(base)["stem_conv/kernel"], variables(model)["stem_conv/kernel"]
        )


def test_two_networks_of_one_name_are_no_source(refused, model):
    image = keras.Input((32, 32, 3))
    pair = [basic(name="left"), basic(name="right")]
    twins = keras.Model(image, [one(image) for one in pair])
    assert "two called " in refused(model, twins)


def test_a_model_that_is_not_built_has_no_place_for_weights(refused, state):
    model = keras.Sequential([keras.layers.Conv2D(4, 7)])
    for skip_head in (False, True):
        message = refused(model, state, **TOLD, skip_head=skip_head)
        assert message.startswith("`model` must be built")


# Misfits, each with what helps.


def test_all_misfits_are_listed_together(refused, model, state):
    del state["layer1.0.bn1.weight"]
    state["layer3.0.conv1.weight"] = np.zeros((2, 2), np.float32)
    state["layer2.0.conv2.weight"] = np.zeros((8, 8, 5, 5), np.float32)
    state["fc.bias"] = np.zeros(4, np.float32)
    message = refused(model, state, **TOLD)
    assert message == (
        "`source` must hold the tensors of the model and no others. Received: the state dict, "
        "read as torchvision or timm ResNet, without layer1.0.bn1.weight; "
        "with also layer3.0.conv1.weight; "
        "with layer2.0.conv2.weight of shape (5, 5, 8, 8) instead of (3, 3, 8, 8), "
        "fc.bias of shape (4,) instead of (3,)"
    )


def test_many_misfits_are_counted(refused, state):
    deeper = kb.ResNet("basic", (3, 1), filters=(4, 8), classes=3)
    assert " and 15 more" in refused(deeper, state, **TOLD)


@pytest.mark.slow
def test_each_tensor_is_needed_and_its_shape_checked(refused, model, state):
    for name, tensor in state.items():
        others = {key: one for key, one in state.items() if key != name}
        if name.endswith("num_batches_tracked"):
            weights.load(model, others, **TOLD)
            continue
        message = refused(model, others, **TOLD)
        assert name in message or "weights of one of" in message
        for shape in (tensor.shape[:-1], (*tensor.shape, 1), (0, *tensor.shape[1:])):
            wrong = {**state, name: np.ones(shape, np.float32)}
            assert name in refused(model, wrong, **TOLD)


def test_a_kernel_stored_in_kerass_order_is_misshaped(refused, model, state):
    state["layer2.0.conv1.weight"] = state["layer2.0.conv1.weight"].transpose(2, 3, 1, 0)
    assert "layer2.0.conv1.weight of shape" in refused(model, state, **TOLD)


def test_a_bias_to_be_absorbed_is_checked_too(refused, model, state):
    state["conv1.bias"] = np.zeros(5, np.float32)
    assert "conv1.bias of shape (5,) instead of (4,)" in refused(model, state, **TOLD)
    state["conv1.bias"] = np.full(4, np.nan, np.float32)
    assert "NaN or infinity in conv1.bias" in refused(model, state, **TOLD)


def test_another_stem(refused, state):
    message = refused(basic(stem="cifar"), state, **TOLD)
    assert "(build the model with another `stem`)" in message


@pytest.mark.parametrize("shortcut", ["pad", "pool", "none"])
def test_another_shortcut(refused, state, shortcut):
    message = refused(basic(shortcut=shortcut), state, **TOLD)
    assert "(build the model with another `shortcut`)" in message


def test_other_classes(refused, state):
    model = basic(classes=5)
    message = refused(model, state, **TOLD)
    assert "(`skip_head=True` leaves the classifier as it is)" in message
    assert "fc.weight of shape (8, 3) instead of (8, 5)" in message
    before = variables(model)["predictions/kernel"]
    weights.load(model, state, **TOLD, skip_head=True)
    assert np.array_equal(variables(model)["predictions/kernel"], before)
    assert equal(
        loaded(state, basic(include_top=False), **TOLD, skip_head=True),
        keras.Model(model.inputs, model.get_layer("stage2_block1").output),
    )


def test_a_source_without_head(refused, model, state):
    bare = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    assert "skip_head=True" in refused(model, bare, **TOLD)
    weights.load(model, bare, **TOLD, skip_head=True)


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("ending", ["", ".keras", ".weights.h5"])
def test_a_head_of_any_name_is_skipped(refused, trained, tmp_path, ending, noise, max_difference):
    """A fine-tuned network of keras.applications, and one of ours."""
    shape = (32, 32, 3)
    backbones = (
        keras.applications.MobileNetV2(shape, 0.35, include_top=False, weights=None),
        kb.MobileNetV2(shape, 0.35, include_top=False, epsilon=1e-3),
    )
    for backbone in backbones:
        pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
        outputs = keras.layers.Dense(5, name="my_head")(pooled)
        source = trained(keras.Model(backbone.input, outputs))
        given = source
        if ending:
            given = tmp_path / f"tuned{ending}"
            source.save_weights(given) if "weights" in ending else source.save(given)
        model = kb.MobileNetV2(shape, 0.35, classes=3, epsilon=1e-3)
        said = {"padding": "same", "epsilon": 1e-3}
        assert "(`skip_head=True` leaves" in refused(model, given, **said)
        weights.load(model, given, skip_head=True, **said)
        features = keras.Model(model.input, model.get_layer("avg_pool").input)
        x = noise(2, *shape)
        assert max_difference(features(x), backbone(x)) <= 1e-4


def test_skip_head_does_not_shorten_a_network(refused):
    deeper = kb.ResNet("basic", (1, 2), filters=(4, 8), classes=3, input_shape=(32, 32, 3))
    torch = {f"layer2.1.bn{number}.weight": np.ones(8, np.float32) for number in (1, 2)}
    for source in (deeper, {**torchvision_state(), **torch}):
        message = refused(basic(), source, **TOLD, skip_head=True)
        assert "with also" in message
        assert "block2" in message or "layer2.1" in message


def test_skip_head_skips_nothing_else(refused, model, state):
    del state["layer2.0.bn2.bias"]
    message = refused(model, state, **TOLD, skip_head=True)
    assert message.endswith("without layer2.0.bn2.bias")


@pytest.mark.slow
@pytest.mark.parametrize("make", [basic, bottleneck, mobilenet])
def test_skip_head_of_every_layout(make, trained, tmp_path):
    source = trained(make())
    kept = variables(source)
    for layout, include_top in (("torchvision", True), ("keras", False)):
        weights.save(source, tmp_path / "a.safetensors", layout)
        model = make(classes=9, include_top=include_top)
        weights.load(model, tmp_path / "a.safetensors", skip_head=True)
        for name, value in variables(model).items():
            if not name.startswith("predictions"):
                assert np.array_equal(value, kept[name])


@pytest.mark.parametrize(("given", "channels"), [(3, 1), (3, 4), (1, 3), (4, 3), (3, 7)])
def test_other_input_channels(refused, given, channels):
    state = torchvision_state(channels=given)
    model = basic(input_shape=(32, 32, channels))
    message = refused(model, state, **TOLD)
    assert "(`adapt_stem=True` fits the first kernel to other input channels)" in message
    weights.load(model, state, **TOLD, adapt_stem=True)
    kernel = state["conv1.weight"].transpose(2, 3, 1, 0).astype(np.float64)
    found = variables(model)["stem_conv/kernel"]
    if channels == 1:
        wanted = kernel.sum(axis=2, keepdims=True)
    else:
        wanted = np.stack([kernel[:, :, i % given] for i in range(channels)], axis=2)
        wanted *= given / channels
    assert np.abs(found - wanted).max() < 1e-6


def test_a_grey_image_looks_the_same_to_an_adapted_stem(noise, max_difference, state):
    """Grey as three equal channels, and as one: the sum of the kernel is what counts."""
    one = loaded(state, basic(input_shape=(32, 32, 1)), **TOLD, adapt_stem=True)
    three = loaded(state, **TOLD)
    grey = noise(2, 32, 32, 1)
    assert max_difference(one(grey), three(grey.repeat(3, -1))) < 1e-4
    back = loaded(torchvision_state(channels=1), basic(), **TOLD, adapt_stem=True)
    first = loaded(torchvision_state(channels=1), basic(input_shape=(32, 32, 1)), **TOLD)
    assert max_difference(back(grey.repeat(3, -1)), first(grey)) < 1e-4


def test_adapt_stem_adapts_nothing_else(refused, state):
    assert "another `stem`" in refused(basic(stem="cifar"), state, **TOLD, adapt_stem=True)
    assert "fc.weight" in refused(basic(classes=4), state, **TOLD, adapt_stem=True)
    weights.load(basic(), state, **TOLD, adapt_stem=True)


def test_adapt_stem_and_skip_head_together(refused, state):
    model = basic(classes=5, input_shape=(32, 32, 1))
    message = refused(model, state, **TOLD)
    assert "conv1.weight" in message
    assert "fc.bias" in message
    weights.load(model, state, **TOLD, skip_head=True, adapt_stem=True)


def test_one_tensor_under_two_names(refused, model, state):
    state["module.bn1.bias"] = state["bn1.bias"] + 1
    assert "two called bn1.bias" in refused(model, state, **TOLD)


def test_names_from_files_cannot_draw_on_the_terminal(refused, model, state, tmp_path):
    state["a\nb\x1b[2J"] = np.zeros(1, np.float32)
    state["x" * 9999] = np.zeros(1, np.float32)
    assert r"a\nb\x1b[2J" in refused(model, state, **TOLD)
    save_file(state, tmp_path / "two\nlines.safetensors")
    assert r"two\nlines" in refused(model, tmp_path / "two\nlines.safetensors", **TOLD)


@pytest.mark.parametrize(
    "source",
    [
        {"weight": np.zeros(3)},
        {"conv1.weight": np.zeros((4, 3, 7, 7))},
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]),
    ],
    ids=["one tensor", "one known tensor", "another model"],
)
def test_unknown_layouts(refused, model, source):
    assert "must be weights of one of: keras_bottleneck, CIFAR ResNet," in refused(model, source)


def test_no_tensors_at_all(refused, model):
    many = {f"epoch {number}": number for number in range(9)}
    for source, listed in (
        ({}, "nothing"),
        ({"a": 1}, "a"),
        ({"state_dict": {}}, "nothing"),
        (many, "epoch 0, epoch 1, epoch 2, epoch 3, epoch 4, epoch 5, epoch 6, epoch 7 and more"),
    ):
        message = refused(model, source)
        assert message.startswith("`source` must hold tensors by name.")
        assert message.endswith(f"the state dict with {listed}")


@pytest.mark.parametrize(
    "source",
    [None, 7, b"a.h5", [np.zeros(3)], "weights.dat", "resnet50", "", "a.h5.txt", Path("x.ckpt")],
    ids=repr,
)
def test_what_is_no_source(refused, model, source):
    message = refused(model, source)
    assert message.startswith(
        "`source` must be a Keras model, a state dict, a checkpoint, a folder of transformers', "
        "or a file that ends in .safetensors, "
    )


def test_missing_files_and_folders(refused, model, tmp_path):
    for end in (".safetensors", ".pth", ".th", ".pt", ".bin", ".h5", ".weights.h5", ".keras"):
        path = tmp_path / f"missing{end}"
        assert "an existing file" in refused(model, path)
        path.mkdir()
        assert "an existing file" in refused(model, str(path))


@pytest.mark.parametrize(
    "name", ["stride_on", "variant", "padding", "epsilon", "skip_head", "adapt_stem", "model"]
)
def test_wrong_arguments(refused, model, state, name):
    wrong = {
        "stride_on": ["5x5", 3, "3X3", ""],
        "variant": ["v2", 1.5, "V1", ""],
        "padding": ["valid", 1, "SAME"],
        "epsilon": ["1e-5", 0, -1, True, float("nan")],
        "skip_head": [1, None, "yes"],
        "adapt_stem": [1, None, "yes"],
        "model": [None, "resnet50", keras.layers.Dense(2)],
    }
    for value in wrong[name]:
        with pytest.raises(ValueError, match=f"^`{name}` must be .*Received: ") as error:
            weights.load(**{"model": model, "source": state, name: value})
        assert "\n" not in str(error.value)


def test_options_are_named():
    kinds = [one.kind for one in inspect.signature(weights.load).parameters.values()]
    assert (
        kinds
        == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 2 + [inspect.Parameter.KEYWORD_ONLY] * 7
    )


# What the tensors do not show.


@pytest.mark.slow
def test_what_nobody_tells_is_required(refused, tmp_path):
    weights.save(bottleneck(), tmp_path / "a.safetensors")
    state = load_file(tmp_path / "a.safetensors")
    message = refused(bottleneck(), state)
    assert message.startswith(
        "`stride_on` and `epsilon` must be given, as the state dict does not "
    )
    assert "the model has stride_on='3x3', epsilon=1e-05" in message
    assert message.endswith("Received: stride_on=None, epsilon=None")
    assert refused(bottleneck(), state, stride_on="3x3").startswith("`epsilon` must be given")
    assert refused(bottleneck(), state, epsilon=1e-5).startswith("`stride_on` must be given")
    weights.load(bottleneck(), state, stride_on="3x3", epsilon=1e-5)


def test_what_does_not_matter_is_not_required(refused, state):
    """Basic blocks have one place for the stride, and one stage has no stride."""
    assert "stride_on" not in refused(basic(), state)
    one = kb.ResNet("bottleneck", (1,), filters=(4,), stem="cifar", classes=3)
    assert (facts_of(one).stride_on, facts_of(one).padding) == (None, None)


@pytest.mark.slow
def test_a_model_of_another_kind_is_refused_with_its_argument(refused, tmp_path):
    path = tmp_path / "a.safetensors"
    weights.save(bottleneck(), path)
    state = load_file(path)
    said = {"stride_on": "3x3", "epsilon": 1e-5}
    for source, given in ((path, {}), (state, said)):
        message = refused(bottleneck(stride_on="1x1"), source, **given)
        assert "built with stride_on='3x3', as" in message
        assert message.endswith("model='resnet' with stride_on='1x1'")
        message = refused(bottleneck(padding="same"), source, **given)
        assert "built with padding='symmetric', as" in message
        message = refused(bottleneck(epsilon=1e-3), source, **given)
        assert "built with epsilon=1e-05, as" in message
    wrong = bottleneck(stride_on="1x1", padding="same", epsilon=0.1)
    message = refused(wrong, path)
    assert "stride_on='3x3', padding='symmetric', epsilon=1e-05, as a.safetensors" in message
    assert message.endswith("with stride_on='1x1', padding='same', epsilon=0.1")


@pytest.mark.slow
def test_flat_models_are_compared_too(refused, tmp_path):
    weights.save(bottleneck(), tmp_path / "a.safetensors")
    for arguments in ({"stride_on": "1x1"}, {"padding": "same"}, {"epsilon": 1e-3}):
        flat = kb.graph.flatten(bottleneck(**arguments))
        assert f"built with {next(iter(arguments))}=" in refused(flat, tmp_path / "a.safetensors")


def test_the_old_name_of_where_it_strides(refused, tmp_path):
    weights.save(bottleneck(), tmp_path / "a.safetensors")
    state, model = load_file(tmp_path / "a.safetensors"), bottleneck()
    with pytest.warns(DeprecationWarning, match=r"write `stride_on='3x3'`") as warned:
        weights.load(model, state, variant="v1.5", epsilon=1e-5)
    assert warned[0].filename == __file__
    assert equal(loaded(tmp_path / "a.safetensors", bottleneck()), model)
    message = refused(model, state, variant="v1.5", stride_on="3x3")
    assert message.startswith("`variant` must be None where `stride_on` is given")


def test_a_word_against_the_sources(refused, tmp_path):
    weights.save(bottleneck(), tmp_path / "a.safetensors")
    for name, value in (("stride_on", "1x1"), ("padding", "same"), ("epsilon", 1e-3)):
        message = refused(bottleneck(), tmp_path / "a.safetensors", **{name: value})
        assert message.startswith(f"`{name}` must be ")
        assert ", as a.safetensors was trained" in message


def test_an_epsilon_that_float32_cannot_tell_apart_is_the_same(tmp_path):
    weights.save(bottleneck(), tmp_path / "a.safetensors")
    weights.load(bottleneck(epsilon=float(np.float32(1e-5))), tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "arguments", [{"stride_on": "1x1"}, {"padding": "same"}, {"epsilon": 1e-3}], ids=str
)
def test_our_own_sources_tell(refused, tmp_path, arguments):
    """A model and its `.keras` file know how they were built."""
    source = bottleneck(**arguments)
    source.save(tmp_path / "own.keras")
    kb.graph.flatten(source).save(tmp_path / "flat.keras")
    for given in (source, tmp_path / "own.keras", tmp_path / "flat.keras"):
        assert equal(loaded(given, bottleneck(**arguments)), source)
        message = refused(bottleneck(), given)
        assert f"built with {next(iter(arguments))}=" in message


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own.weights.h5", "own.h5"])
def test_our_own_files_without_configuration(refused, tmp_path, trained, name):
    source = trained(bottleneck())
    if name == "own.h5":
        source.save(tmp_path / name)
    else:
        source.save_weights(tmp_path / name)
    said = {"stride_on": "3x3", "padding": "symmetric", "epsilon": 1e-5}
    assert equal(loaded(tmp_path / name, bottleneck(), **said), source)
    message = refused(bottleneck(), tmp_path / name)
    assert message.startswith("`stride_on` and `padding` and `epsilon` must be given")
    message = refused(bottleneck(), tmp_path / name, **{**said, "stride_on": "1x1"})
    assert "stride_on='1x1'" in message


def test_our_own_names_alone_tell_nothing(refused):
    own = {name: np.array(value) for name, value in variables(bottleneck()).items()}
    assert refused(bottleneck(), own).startswith("`stride_on` and `padding` and `epsilon` must be")
    weights.load(bottleneck(), own, stride_on="3x3", padding="symmetric", epsilon=1e-5)


@pytest.mark.slow
def test_mobilenets_tell_no_variant(refused, tmp_path):
    weights.save(mobilenet(), tmp_path / "a.safetensors")
    state = load_file(tmp_path / "a.safetensors")
    assert "built with padding='symmetric'" in refused(mobilenet(), state)
    message = refused(mobilenet(padding="symmetric"), state)
    assert message.startswith("`epsilon` must be given")
    weights.load(mobilenet(padding="symmetric"), state, epsilon=1e-5)


def test_a_network_of_two_paddings_is_none_of_ours(refused, state):
    image = keras.Input((32, 32, 3))
    x = kb.layers.ConvNormAct(4, 7, 2, name="stem")(image)
    x = kb.layers.BasicBlock(4, name="stage1_block1")(x)
    x = kb.layers.BasicBlock(8, 2, padding="same", name="stage2_block1")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    mixed = keras.Model(image, keras.layers.Dense(3, name="predictions")(x), name="mixed")
    assert "must have one padding throughout" in refused(mixed, state, **TOLD)


def test_settings_of_a_file_that_no_network_has(refused, model, state, tmp_path):
    tensors = {name: tensor for name, tensor in state.items() if tensor.ndim}
    for told in ('{"variant": "v9"}', '{"epsilon": []}', '{"colour": 1}', "[", "7", "[1, 2]"):
        save_file(tensors, tmp_path / "a.safetensors", {"keras_bottleneck": told})
        assert "a whole .safetensors file" in refused(model, tmp_path / "a.safetensors", **TOLD)
