"""Networks behind a prefix of somebody's own, beside other tensors or other networks."""

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_bottleneck import weights

from .networks import TOLD, basic, equal, mobilenet, torchvision_state, variables

OTHERS = {"projector.0.weight": np.ones((2, 2), np.float32), "queue": np.ones(3, np.float32)}


@pytest.fixture
def state():
    return torchvision_state()


@pytest.fixture(scope="module")
def model(trained):
    return trained(basic(), seed=5)


def behind(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def in_file(state, path):
    """A dict, or a file with the same tensors."""
    if path.suffix == ".safetensors":
        save_file(state, path)
    elif path.suffix == ".pth":
        torch = pytest.importorskip("torch", reason=".pth files are PyTorch's")
        tensors = {name: torch.from_numpy(np.array(one)) for name, one in state.items()}
        torch.save({"epoch": 3, "state_dict": tensors}, path)
    else:
        return state
    return path


def loaded(source, **arguments):
    model = basic()
    weights.load(model, source, **TOLD, **arguments)
    return model


@pytest.mark.parametrize("ending", ["", ".safetensors", ".pth"])
@pytest.mark.parametrize(
    "prefix",
    ["encoder.", "base.", "net.", "module.encoder_q.", "model.backbone.body.", "backbone."],
)
@pytest.mark.full
def test_one_network_beside_other_tensors(prefix, ending, state, tmp_path):
    source = in_file({**behind(prefix, state), **OTHERS}, tmp_path / f"a{ending}")
    with pytest.warns(UserWarning, match="projector.0.weight, queue") as told:
        found = loaded(source)
    assert f"behind the prefix {prefix!r} was taken" in str(told[0].message)
    assert told[0].filename == __file__
    assert equal(found, loaded(state))


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("prefix", ["encoder.", "module.", "a.b.c."])
def test_a_prefix_of_all_names_goes_without_saying(prefix, state):
    assert equal(loaded(behind(prefix, state)), loaded(state))
    assert equal(loaded({**behind("encoder.", state), **OTHERS}, prefix="encoder."), loaded(state))


@pytest.mark.parametrize("ending", ["", ".safetensors", ".pth"])
@pytest.mark.parametrize(
    "names",
    [
        ("module.encoder_k.", "module.encoder_q."),
        ("student.", "teacher."),
        ("student.backbone.", "teacher.backbone."),
        ("", "ema."),
        ("", "module."),
    ],
)
@pytest.mark.full
def test_several_networks(names, ending, refused, model, state, tmp_path):
    second = torchvision_state(seed=1)
    both = {**behind(names[0], state), **behind(names[1], second)}
    if names[0]:
        both |= OTHERS
    source = in_file(both, tmp_path / f"a{ending}")
    message = refused(model, source, **TOLD)
    assert message.startswith("`source` must be one network (`prefix` chooses one). Received: ")
    chosen = [one for one in names if f"prefix={one!r}" in message]
    if names[0].endswith("backbone."):
        chosen = ["student.", "teacher."]
        assert all(f"prefix={one!r}" in message for one in chosen)
    assert len(chosen) == 2, message
    for prefix, wanted in zip(chosen, (state, second), strict=True):
        assert equal(loaded(source, prefix=prefix), loaded(wanted))
    assert "here" in refused(model, source, **TOLD, prefix="encoder.")


def test_state_dicts_in_a_dict(refused, model, state):
    both = {"student": state, "teacher": torchvision_state(seed=1), "epoch": 3}
    assert "prefix='student.' or prefix='teacher.'" in refused(model, both, **TOLD)
    assert equal(loaded(both, prefix="student."), loaded(state))


def test_a_classifier_beside_the_prefix_is_the_networks(refused, model, state):
    """As in files of transformers."""
    head = {name: one for name, one in state.items() if name.startswith("fc.")}
    body = {name: one for name, one in state.items() if name not in head}
    assert equal(loaded({**behind("backbone.", body), **head}), loaded(state))


def test_one_network_inside_an_h5_file(tmp_path, trained):
    inner = trained(basic(name="encoder"))
    image = keras.Input((32, 32, 3))
    outer = keras.Model(image, keras.layers.Dense(2, name="projector")(inner(image)))
    for name in ("a.h5", "a.weights.h5"):
        (outer.save if name == "a.h5" else outer.save_weights)(tmp_path / name)
        model = basic()
        with pytest.warns(UserWarning, match="behind the prefix 'encoder/'"):
            weights.load(model, tmp_path / name, **TOLD, padding="symmetric")
        assert equal(model, inner)


@pytest.mark.parametrize("name", ["a.h5", "a.weights.h5"])
def test_two_networks_inside_an_h5_file(name, tmp_path, trained, refused, model):
    inner = [trained(basic(name=name), seed) for seed, name in enumerate(("student", "teacher"))]
    image = keras.Input((32, 32, 3))
    outer = keras.Model(image, [one(image) for one in inner])
    (outer.save if name == "a.h5" else outer.save_weights)(tmp_path / name)
    given = {**TOLD, "padding": "symmetric"}
    message = refused(model, tmp_path / name, **given)
    assert "prefix='student/' or prefix='teacher/'" in message
    for one in inner:
        found = basic()
        weights.load(found, tmp_path / name, **given, prefix=f"{one.name}/")
        assert equal(found, one)


KERAS_2 = {
    "its names": "{layer}/{variable}:0",
    "inside a block": "block/{layer}/{variable}:0",
    "its paths": "{layer}/{layer}/{variable}",
}


@pytest.mark.parametrize("pattern", KERAS_2.values(), ids=KERAS_2)
def test_names_of_keras_2(pattern, trained):
    model = trained(mobilenet())
    state = {}
    for name, value in variables(model).items():
        layer, variable = name.split("/")
        if layer.endswith("depthwise_conv"):
            variable = f"depthwise_{variable}"
        state[pattern.format(layer=layer, variable=variable)] = value
    found = mobilenet()
    weights.load(found, state, epsilon=1e-5, padding="same")
    assert equal(found, model)


def test_a_prefix_is_text(refused, model, state):
    for wrong in (1, b"encoder.", ["encoder."]):
        message = refused(model, state, **TOLD, prefix=wrong)
        assert message.startswith("`prefix` must be a string or None. Received: prefix=")
    assert "here ''" in refused(model, state, **TOLD, prefix="encoder.")
