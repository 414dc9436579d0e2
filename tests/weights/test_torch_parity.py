"""Networks of PyTorch and the same of ours, with one set of weights: the logits are equal."""

import io

import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck import weights

torch = pytest.importorskip("torch", reason="torch is not installed")

from safetensors.torch import load_file, save_file  # noqa: E402

from ..marks import some_full  # noqa: E402
from . import torch_reference as reference  # noqa: E402
from .networks import equal  # noqa: E402

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
SIZES = (224, 97)
V15 = {"stride_on": "3x3", "epsilon": 1e-5}
BASIC = {"epsilon": 1e-5}


def difference(model, module, size, channels=3):
    """The largest difference of the logits on two images."""
    images = np.random.default_rng(size).normal(size=(2, size, size, channels)).astype(np.float32)
    theirs = reference.outputs(module, images)
    ours = model.predict(images, batch_size=2, verbose=0)
    assert ours.shape == theirs.shape
    assert np.ptp(theirs, axis=0).max() > 0.1  # logits that tell the images apart
    return float(np.abs(ours - theirs).max())


def check(model, module, sizes=SIZES, channels=3):
    differences = {size: difference(model, module, size, channels) for size in sizes}
    print(f"{model.name} against {type(module).__name__}: {differences}")
    assert max(differences.values()) <= TOLERANCE


def build(maker, **arguments):
    channels = arguments.pop("channels", 3)
    shape = (None, None, channels)
    return maker(input_shape=shape, classifier_activation=None, **arguments)


# Torchvision's and timm's names.

NETWORKS = {
    "ResNet18": (reference.ResNet, ("basic", (2, 2, 2, 2)), {}, kb.ResNet18, {}, BASIC),
    "ResNet50": (reference.ResNet, ("bottleneck", (3, 4, 6, 3)), {}, kb.ResNet50, {}, V15),
    "ResNet152": (reference.ResNet, ("bottleneck", (3, 8, 36, 3)), {}, kb.ResNet152, {}, V15),
    "ResNet50 v1": (
        reference.ResNet,
        ("bottleneck", (3, 4, 6, 3)),
        {"strided": "conv1"},
        kb.ResNet50,
        {"stride_on": "1x1"},
        {"stride_on": "1x1", "epsilon": 1e-5},
    ),
    "ResNeXt50 32x4d": (
        reference.ResNet,
        ("bottleneck", (3, 4, 6, 3)),
        {"groups": 32, "base_width": 4},
        kb.ResNet50,
        {"groups": 32, "base_width": 4},
        V15,
    ),
    "wide ResNet50": (
        reference.ResNet,
        ("bottleneck", (3, 4, 6, 3)),
        {"base_width": 128},
        kb.ResNet50,
        {"base_width": 128},
        V15,
    ),
    "MobileNetV2": (
        reference.MobileNetV2,
        (1.0,),
        {},
        kb.MobileNetV2,
        {"padding": "symmetric"},
        BASIC,
    ),
    "MobileNetV2 0.35, 4 channels": (
        reference.MobileNetV2,
        (0.35,),
        {"channels": 4},
        kb.MobileNetV2,
        {"padding": "symmetric", "alpha": 0.35, "channels": 4},
        BASIC,
    ),
    "timm MobileNetV2": (
        reference.TimmMobileNetV2,
        (1.0,),
        {},
        kb.MobileNetV2,
        {"padding": "symmetric"},
        {"padding": "symmetric", "epsilon": 1e-5},
    ),
    "timm MobileNetV2 1.4, 1 channel": (
        reference.TimmMobileNetV2,
        (1.4,),
        {"channels": 1},
        kb.MobileNetV2,
        {"padding": "symmetric", "alpha": 1.4, "channels": 1},
        {"padding": "symmetric", "epsilon": 1e-5},
    ),
}


# Deeper, or with other numbers of channels, than networks above.
LARGE = (
    *("ResNet152", "wide ResNet50", "ResNeXt50 32x4d", "ResNet50 v1"),
    "timm MobileNetV2 1.4, 1 channel",
)


@pytest.mark.parametrize("name", some_full(NETWORKS, LARGE))
def test_logits_and_the_way_back(name, tmp_path):
    """From a state dict, and by `save` into a new network of PyTorch's and of ours."""
    theirs, given, options, ours, arguments, said = NETWORKS[name]
    channels = options.get("channels", 3)
    last = {"basic": ".bn2", "bottleneck": ".bn3"}.get(given[0])
    module = reference.trained(theirs(*given, **options), last, channels)
    model = build(ours, **arguments)
    weights.load(model, module.state_dict(), **said)
    check(model, module, channels=channels)

    path = weights.save(model, tmp_path / "back.safetensors")
    if theirs is not reference.TimmMobileNetV2:
        back = theirs(*given, **options).eval()
        back.load_state_dict(load_file(path), strict=True)
        images = np.random.default_rng(0).normal(size=(2, 97, 97, channels)).astype(np.float32)
        same = reference.outputs(back, images) == reference.outputs(module, images)
        assert same.all()
    again = build(ours, **arguments)
    weights.load(again, path)
    assert equal(again, model)


# Hugging Face transformers.


def transformers_resnet(depths, kind, v1=False):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    hidden = [64, 128, 256, 512] if kind == "basic" else [256, 512, 1024, 2048]
    config = transformers.ResNetConfig(
        depths=list(depths),
        hidden_sizes=hidden,
        layer_type=kind,
        num_labels=1000,
        downsample_in_bottleneck=v1,
    )
    return transformers.ResNetForImageClassification(config)


def transformers_mobilenet(**arguments):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.MobileNetV2Config(num_labels=1001, **arguments)
    return transformers.MobileNetV2ForImageClassification(config)


RESNETS = {
    "ResNet18": ((2, 2, 2, 2), "basic", kb.ResNet18, {}),
    "ResNet34": ((3, 4, 6, 3), "basic", kb.ResNet34, {}),
    "ResNet50": ((3, 4, 6, 3), "bottleneck", kb.ResNet50, {"stride_on": "3x3"}),
    "ResNet50 v1": ((3, 4, 6, 3), "bottleneck", kb.ResNet50, {"stride_on": "1x1"}),
}


@pytest.mark.parametrize("name", some_full(RESNETS, ["ResNet34", "ResNet50", "ResNet50 v1"]))
def test_resnets_of_transformers(name, tmp_path):
    depths, kind, ours, said = RESNETS[name]
    v1 = said.get("stride_on") == "1x1"
    last = {"basic": "layer.1.normalization", "bottleneck": "layer.2.normalization"}[kind]
    module = reference.trained(transformers_resnet(depths, kind, v1), last)
    arguments = {"stride_on": "1x1"} if v1 else {}
    model = build(ours, **arguments)
    weights.load(model, module.state_dict(), **said)
    check(model, module)
    module.save_pretrained(tmp_path)
    saved = build(ours, **arguments)
    weights.load(saved, tmp_path)
    assert equal(saved, model)
    # The network without its classifier has names without the prefix.
    bare = build(ours, include_top=False, pooling="avg", **arguments)
    weights.load(bare, module.resnet.state_dict(), **said)
    images = np.random.default_rng(0).normal(size=(2, 97, 97, 3)).astype(np.float32)
    with torch.no_grad():
        found = module.resnet(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    pooled = found.pooler_output.flatten(1).numpy()
    assert np.abs(bare.predict(images, verbose=0) - pooled).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("options", "arguments", "said"),
    [
        ({}, {"epsilon": 1e-3}, {"padding": "same", "epsilon": 1e-3}),
        pytest.param(
            {"tf_padding": False, "layer_norm_eps": 1e-5},
            {"padding": "symmetric"},
            {"padding": "symmetric", "epsilon": 1e-5},
            marks=pytest.mark.full,
        ),
        (
            {"depth_multiplier": 0.35, "num_channels": 4},
            {"epsilon": 1e-3, "alpha": 0.35, "channels": 4},
            {"padding": "same", "epsilon": 1e-3},
        ),
    ],
    ids=["as published", "as in PyTorch", "0.35, 4 channels"],
)
@pytest.mark.full
def test_mobilenets_of_transformers(options, arguments, said, tmp_path):
    channels = arguments.get("channels", 3)
    module = reference.trained(transformers_mobilenet(**options), channels=channels)
    model = build(kb.MobileNetV2, classes=1001, **arguments)
    with pytest.raises(ValueError, match="^`padding` and `epsilon` must be given, as"):
        weights.load(model, module.state_dict())
    weights.load(model, module.state_dict(), **said)
    check(model, module, channels=channels)
    module.save_pretrained(tmp_path)
    saved = build(kb.MobileNetV2, classes=1001, **arguments)
    weights.load(saved, tmp_path)
    assert equal(saved, model)
    bare = build(kb.MobileNetV2, include_top=False, **arguments)
    weights.load(bare, module.mobilenet_v2.state_dict(), **said)


# Files and wrappers, on a small network.


@pytest.fixture(scope="module")
def module():
    network = reference.ResNet("bottleneck", (1, 1, 1), (8, 16, 32), classes=5)
    return reference.trained(network, ".bn3")


def small():
    shape = (None, None, 3)
    return kb.ResNet(
        depths=(1, 1, 1),
        filters=(8, 16, 32),
        classes=5,
        input_shape=shape,
        classifier_activation=None,
    )


WRAPPERS = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"epoch": 90, "arch": "resnet50", "state_dict": state},
    "model": lambda state: {"model": state, "lr": 0.1, "args": ["--epochs", "90"], "none": None},
    "module.": lambda state: {"state_dict": {f"module.{key}": one for key, one in state.items()}},
}


@pytest.mark.parametrize("ending", some_full([".pth", ".th", ".pt"], [".th", ".pt"]))
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.full
def test_files_of_torch(module, tmp_path, wrapper, zipped, ending):
    path = tmp_path / f"network{ending}"
    saved = WRAPPERS[wrapper](module.state_dict())
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    model = small()
    weights.load(model, path, **V15)
    check(model, module, sizes=(97,))


def test_checkpoints_with_an_optimizer(module, tmp_path):
    optimizer = torch.optim.Adam(module.parameters(), amsgrad=True)
    module(torch.zeros(2, 3, 64, 64)).sum().backward()
    optimizer.step()
    torch.save(
        {"model": module.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt"
    )
    model = small()
    weights.load(model, tmp_path / "a.pt", **V15)
    check(model, module, sizes=(64,))


@pytest.mark.parametrize("wrap", [torch.nn.DataParallel, torch.compile])
def test_wrapped_modules(module, wrap):
    model = small()
    weights.load(model, wrap(module).state_dict(), **V15)
    check(model, module, sizes=(64,))


def test_safetensors(module, tmp_path):
    save_file(module.state_dict(), tmp_path / "a.safetensors", {"format": "pt"})
    model = small()
    weights.load(model, tmp_path / "a.safetensors", **V15)
    check(model, module, sizes=(97,))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("kind", ["dict", ".pth", ".safetensors"])
@pytest.mark.full
def test_other_precisions(module, tmp_path, dtype, kind):
    """The numbers that the half precisions hold are float32 numbers too."""
    stored = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in module.state_dict().items()
    }
    rounded = reference.ResNet("bottleneck", (1, 1, 1), (8, 16, 32), classes=5).eval()
    rounded.load_state_dict(stored)
    source = stored if kind == "dict" else tmp_path / f"a{kind}"
    if kind == ".pth":
        torch.save(stored, source)
    if kind == ".safetensors":
        save_file(stored, source)
    model = small()
    weights.load(model, source, **V15)
    check(model, rounded, sizes=(97,))


def test_parameters_and_views(module):
    """Tensors that need gradients, share memory or lie in it out of order."""
    state = dict(module.named_parameters())
    state |= dict(module.named_buffers())
    state["conv1.weight"] = state["conv1.weight"].to(memory_format=torch.channels_last)
    state["fc.weight"] = torch.stack([state["fc.weight"]] * 2)[1]
    model = small()
    weights.load(model, state, **V15)
    check(model, module, sizes=(64,))


def test_tensors_without_numbers_are_refused(module, refused):
    for wrong in (
        module.fc.weight.detach().to("meta"),
        module.fc.weight.detach().to_sparse(),
        module.fc.weight.detach().int(),
        module.fc.weight.detach().to(torch.complex64),
        module.fc.weight.detach().to(torch.float8_e4m3fn),
    ):
        state = {**module.state_dict(), "fc.weight": wrong}
        assert "fc.weight" in refused(small(), state, **V15)


def test_torch_is_asked_for_tensors_only(module, tmp_path, refused):
    """A whole module in a file is code to be run: it stays closed, and nothing says otherwise."""
    torch.save(module, tmp_path / "module.pth")
    message = refused(small(), tmp_path / "module.pth", **V15)
    assert "holds other objects than tensors" in message
    assert "weights_only" not in message
    torch.save([module.state_dict()], tmp_path / "list.pth")
    assert "it holds a list, not a state dict" in refused(small(), tmp_path / "list.pth", **V15)


def test_a_network_of_torch_saved_in_memory(module):
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    model = small()
    weights.load(model, torch.load(buffer, weights_only=True), **V15)
    check(model, module, sizes=(64,))
