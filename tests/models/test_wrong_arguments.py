"""A wrong argument is one sentence: its name, what is accepted, what was received."""

import keras
import pytest

from keras_bottleneck.models import (
    CIFARResNet,
    CSPDarknet,
    MobileNetV2,
    ResNet,
    ResNet18,
    ResNet20,
    ResNet50,
    ResNet50V2,
)

IMAGE = (32, 32, 3)
CASES = {
    "include_top": (ResNet18, {"include_top": 1}, "include_top"),
    "weights name": (ResNet50, {"weights": "imagenet21k"}, "weights"),
    "weights missing": (ResNet50, {"weights": "no/such.weights.h5"}, "weights"),
    "weights number": (MobileNetV2, {"weights": 3}, "weights"),
    "input_tensor": (ResNet18, {"input_tensor": IMAGE}, "input_tensor"),
    "input_tensor rank": (ResNet18, {"input_tensor": keras.Input((32, 3))}, "input_tensor"),
    "shapes disagree": (
        ResNet18,
        {"input_tensor": keras.Input(IMAGE), "input_shape": (64, 64, 3)},
        "input_shape",
    ),
    "input_shape number": (ResNet18, {"input_shape": 224}, "input_shape"),
    "input_shape rank": (ResNet18, {"input_shape": (224, 224)}, "input_shape"),
    "input_shape zero": (MobileNetV2, {"input_shape": (0, 32, 3)}, "input_shape"),
    "input_shape channels": (MobileNetV2, {"input_shape": (32, 32, None)}, "input_shape"),
    "pooling": (ResNet18, {"pooling": "mean"}, "pooling"),
    "classes": (ResNet18, {"classes": 0}, "classes"),
    "classes text": (MobileNetV2, {"classes": "10"}, "classes"),
    "classifier_activation": (
        ResNet18,
        {"classifier_activation": "sofmax"},
        "classifier_activation",
    ),
    "name": (ResNet18, {"name": ""}, "name"),
    "name number": (MobileNetV2, {"name": 3}, "name"),
    "block": (ResNet, {"block": "basik"}, "block"),
    "depths": (ResNet, {"depths": 3}, "depths"),
    "depths empty": (ResNet, {"depths": ()}, "depths"),
    "depths zero": (ResNet, {"depths": (3, 0, 6, 3)}, "depths"),
    "filters": (ResNet, {"depths": (1, 1)}, "filters"),
    "stem": (ResNet18, {"stem": "cifar10"}, "stem"),
    "stride_on": (ResNet50, {"stride_on": "1"}, "stride_on"),
    "basic stride_on": (ResNet18, {"stride_on": "1x1"}, "stride_on"),
    "basic groups": (ResNet18, {"groups": 2}, "groups"),
    "basic base_width": (ResNet18, {"base_width": 128}, "base_width"),
    "groups": (ResNet50, {"groups": 0}, "groups"),
    "shortcut": (ResNet18, {"shortcut": "identity"}, "shortcut"),
    "padding": (ResNet18, {"padding": "valid"}, "padding"),
    "activation": (MobileNetV2, {"activation": "relu7"}, "activation"),
    "se_ratio": (MobileNetV2, {"se_ratio": 2}, "se_ratio"),
    "drop_path": (ResNet18, {"drop_path": 1.0}, "drop_path"),
    "drop_path text": (MobileNetV2, {"drop_path": "0.1"}, "drop_path"),
    "zero_init_residual": (ResNet18, {"zero_init_residual": None}, "zero_init_residual"),
    "epsilon": (ResNet18, {"epsilon": -1e-5}, "epsilon"),
    "momentum": (MobileNetV2, {"momentum": 2}, "momentum"),
    "stride_at": (ResNet50, {"stride_at": "middle"}, "stride_at"),
    "output_stride": (ResNet50, {"output_stride": 4}, "output_stride"),
    "output_stride at the last": (
        ResNet50,
        {"output_stride": 8, "stride_at": "last"},
        "output_stride",
    ),
    "conv_bias": (ResNet50, {"conv_bias": True}, "conv_bias"),
    "preactivation": (ResNet50, {"preactivation": 2}, "preactivation"),
    "preactivated zero_init_residual": (
        ResNet50V2,
        {"zero_init_residual": True},
        "zero_init_residual",
    ),
    "antialias": (ResNet18, {"antialias": "yes"}, "antialias"),
    "remat": (ResNet18, {"remat": None}, "remat"),
    "depth": (CIFARResNet, {"depth": 21}, "depth"),
    "depth too small": (CIFARResNet, {"depth": 2}, "depth"),
    "weights of a builder without checkpoints": (ResNet20, {"weights": "imagenet"}, "weights"),
    "conv": (ResNet50, {"conv": "depthwise"}, "conv"),
    "csp width": (CSPDarknet, {"width": 0}, "width"),
    "csp depth": (CSPDarknet, {"depth": "0.33"}, "depth"),
    "csp weights": (CSPDarknet, {"weights": "imagenet"}, "weights"),
    "csp activation": (CSPDarknet, {"activation": "sillu"}, "activation"),
    "csp pooling": (CSPDarknet, {"pooling": "mean"}, "pooling"),
    "csp epsilon": (CSPDarknet, {"epsilon": 0}, "epsilon"),
    "alpha": (MobileNetV2, {"alpha": 0}, "alpha"),
    "alpha text": (MobileNetV2, {"alpha": "1.0"}, "alpha"),
}


@pytest.mark.parametrize(("build", "arguments", "name"), CASES.values(), ids=CASES.keys())
def test_the_message_names_the_argument(build, arguments, name):
    with pytest.raises(ValueError) as error:
        build(**arguments)
    message = str(error.value)
    assert message.startswith(f"`{name}` must be ")
    assert f". Received: {name}=" in message
    assert "\n" not in message


def test_an_unknown_argument_is_a_type_error():
    with pytest.raises(TypeError, match=r"^ResNet18\(\).*drop_pth"):
        ResNet18(drop_pth=0.1)
    with pytest.raises(TypeError, match=r"^CIFARResNet\(\).*drop_pth"):
        CIFARResNet(20, drop_pth=0.1)
