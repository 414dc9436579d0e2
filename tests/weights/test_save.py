"""`save` and back: the same numbers, bit for bit, and nothing half-written."""

import keras
import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

import keras_bottleneck as kb
from keras_bottleneck import weights

from .networks import TOLD, basic, bottleneck, equal, mobilenet, torchvision_state, variables

MAKERS = {
    "basic": basic,
    "cifar": lambda **k: basic(stem="cifar", shortcut="pad", **k),
    "bottleneck": bottleneck,
    "bottleneck v1": lambda **k: bottleneck(stride_on="1x1", epsilon=1.001e-5, **k),
    "grouped": lambda **k: bottleneck(groups=2, base_width=32, **k),
    "mobilenet": mobilenet,
    "without top": lambda **k: basic(include_top=False, **k),
}


@pytest.mark.parametrize("layout", ["torchvision", "keras"])
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.full
def test_there_and_back(trained, tmp_path, name, layout):
    make = MAKERS[name]
    model = trained(make(), seed=3)
    path = weights.save(model, tmp_path / "a.safetensors", layout)
    assert path == tmp_path / "a.safetensors"
    back = make()
    weights.load(back, path)
    assert equal(back, model)
    stored = safetensors.numpy.load_file(path)
    again = safetensors.numpy.load_file(weights.save(back, tmp_path / "b.safetensors", layout))
    assert again.keys() == stored.keys()
    assert all(np.array_equal(again[name], stored[name]) for name in stored)


@pytest.mark.parametrize(
    "arguments",
    [
        {"shortcut": "pool"},
        {"se_ratio": 0.25},
        {"activation": keras.layers.PReLU(shared_axes=[1, 2])},
        {"classifier_activation": keras.layers.Softmax()},
        {"drop_path": 0.2, "zero_init_residual": True},
    ],
    ids=str,
)
def test_our_own_layout_has_names_for_everything(trained, tmp_path, arguments):
    model = trained(basic(**arguments))
    back = basic(**arguments)
    weights.load(back, weights.save(model, tmp_path / "a.safetensors", "keras"))
    for one, other in zip(back.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_a_state_dict_there_and_back(tmp_path):
    """What PyTorch would read is what PyTorch gave."""
    state = torchvision_state()
    model = basic()
    weights.load(model, state, **TOLD)
    weights.save(model, tmp_path / "a.safetensors")
    stored = safetensors.numpy.load_file(tmp_path / "a.safetensors")
    wanted = {name: one for name, one in state.items() if one.ndim}
    assert stored.keys() == wanted.keys()
    for name, one in wanted.items():
        assert stored[name].dtype == np.float32
        assert np.array_equal(stored[name], one)


def test_our_own_names(tmp_path):
    model = basic()
    weights.save(model, tmp_path / "a.safetensors", layout="keras")
    stored = safetensors.numpy.load_file(tmp_path / "a.safetensors")
    assert stored.keys() == variables(model).keys()
    assert "stage2_block1_shortcut_bn/moving_variance" in stored


@pytest.mark.parametrize("layout", ["torchvision", "keras"])
def test_flat_models(trained, tmp_path, layout):
    model = trained(basic())
    weights.save(model, tmp_path / "whole.safetensors", layout)
    weights.save(kb.graph.flatten(model), tmp_path / "flat.safetensors", layout)
    whole, flat = (
        safetensors.numpy.load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "flat")
    )
    assert whole.keys() == flat.keys()
    assert all(np.array_equal(whole[name], flat[name]) for name in whole)


def test_folded_models(trained, tmp_path):
    """Without batch norms there are biases, which torchvision's networks have not."""
    folded, other = kb.fold(trained(basic())), kb.fold(basic())
    path = weights.save(folded, tmp_path / "keras.safetensors", "keras")
    assert "stem_conv/bias" in safetensors.numpy.load_file(path)
    weights.load(other, path)
    assert equal(other, folded)
    with pytest.raises(ValueError, match="`layout` must be 'keras'"):
        weights.save(folded, tmp_path / "torchvision.safetensors")


@pytest.mark.parametrize("folder", ["a_file/below", "a_file"])
def test_a_folder_that_cannot_be_written(tmp_path, folder):
    (tmp_path / "a_file").write_text("here")
    with pytest.raises(ValueError, match="`path` must be a file in a folder that can be written"):
        weights.save(basic(), tmp_path / folder / "a.safetensors")
    assert (tmp_path / "a_file").read_text() == "here"


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("layout", ["torchvision", "keras"])
@pytest.mark.full
def test_other_precisions(dtype_policy, trained, tmp_path, policy, layout):
    if policy == "float64" and keras.backend.backend() == "jax":
        pytest.skip("jax computes in float32 unless it is told otherwise")
    dtype_policy(policy)
    model = trained(basic())
    path = weights.save(model, tmp_path / "a.safetensors", layout)
    back = basic()
    weights.load(back, path)
    assert equal(back, model)


def test_settings_travel_with_the_tensors(tmp_path):
    weights.save(bottleneck(padding="same", epsilon=1e-3), tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", framework="numpy") as file:
        about = file.metadata()
    assert about["keras_bottleneck"] == ('{"variant": "v1.5", "padding": "same", "epsilon": 0.001}')
    assert about["format"] == "pt"
    weights.load(bottleneck(padding="same", epsilon=1e-3), tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "arguments",
    [
        {"shortcut": "pool"},
        {"se_ratio": 0.25},
        {"activation": keras.layers.PReLU(shared_axes=[1, 2])},
    ],
    ids=["pool", "squeeze-excite", "prelu"],
)
def test_what_torchvision_has_no_name_for(tmp_path, arguments):
    message = wrong(basic(**arguments), tmp_path / "a.safetensors")
    assert message.startswith("`layout` must be 'keras' for model 'resnet': torchvision has no ")
    assert not list(tmp_path.iterdir())


def wrong(*arguments, **options):
    with pytest.raises(ValueError, match="Received: ") as error:
        weights.save(*arguments, **options)
    assert str(error.value).isprintable()
    return str(error.value)


@pytest.mark.parametrize("layout", ["timm", "torch", "Keras", None, 1])
def test_wrong_layouts(tmp_path, layout):
    assert wrong(basic(), tmp_path / "a.safetensors", layout).startswith("`layout` must be one of")


@pytest.mark.parametrize("path", ["a.pth", "a.h5", "", "a", None, 3, b"a.safetensors"], ids=repr)
def test_wrong_paths(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    assert wrong(basic(), path).startswith("`path` must be a file name that ends in .safetensors")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file_to_write(tmp_path):
    (tmp_path / "a.safetensors").mkdir()
    assert wrong(basic(), tmp_path / "a.safetensors").startswith("`path` must be ")
    assert [one.name for one in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("model", [None, "resnet50", keras.layers.Dense(2)], ids=str)
def test_wrong_models(tmp_path, model):
    assert wrong(model, tmp_path / "a.safetensors").startswith("`model` must be a Keras model")


def test_a_model_of_another_kind(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    assert "has no name for its layer 'dense" in wrong(model, tmp_path / "a.safetensors")


def test_two_networks_in_one_model(tmp_path):
    image = keras.Input((32, 32, 3))
    twins = keras.Model(image, [basic(name="left")(image), basic(name="right")(image)])
    message = wrong(twins, tmp_path / "a.safetensors", "keras")
    assert message.startswith("`model` must hold one network of this package")


def test_a_file_is_replaced_whole_or_not_at_all(trained, tmp_path, monkeypatch):
    path = tmp_path / "new" / "a.safetensors"
    weights.save(basic(), path)
    before = path.read_bytes()

    def fail(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    with pytest.raises(ValueError, match=r"folder that can be written \(no space left"):
        weights.save(trained(basic()), path)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["a.safetensors"]
    monkeypatch.undo()
    weights.save(trained(basic()), path)
    assert path.read_bytes() != before
    assert [one.name for one in path.parent.iterdir()] == ["a.safetensors"]


def test_saving_leaves_the_model_as_it_is(trained, tmp_path):
    model = trained(basic())
    before = [np.array(one) for one in model.get_weights()]
    weights.save(model, str(tmp_path / "a.safetensors"))
    assert all(map(np.array_equal, before, model.get_weights()))
