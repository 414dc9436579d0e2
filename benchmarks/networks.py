"""The networks that the benchmarks run, and the same ones of the peers that are installed."""

import importlib.util
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_bottleneck as kb
from keras_bottleneck.layers import BatchNormalization

NETWORKS = ("ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152", "MobileNetV2")
CLASSES = 1000


def ours(name: str, size: int, activation: str | None = None) -> keras.Model:
    """This package's network, by default ending in logits."""
    return getattr(kb, name)(input_shape=(size, size, 3), classifier_activation=activation)


def ours_with_stock_batch_norm(name: str, size: int) -> keras.Model:
    """The same layers, but for Keras's batch norm."""

    def stock(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = type(layer)
        kind = keras.layers.BatchNormalization if kind is BatchNormalization else kind
        return kind.from_config(layer.get_config())

    return keras.models.clone_model(kb.graph.flatten(ours(name, size)), clone_function=stock)


def keras_applications(name: str, size: int) -> keras.Model:
    """The network of `keras.applications` with random weights, ending in logits.

    Its ResNets are version 1: 6% fewer multiplications than ours in ResNet-50, at the price of
    half a percent of accuracy.
    """
    build = getattr(keras.applications, name)
    return build(weights=None, input_shape=(size, size, 3), classifier_activation=None)


def torch_network(name: str) -> Any:
    """The network in PyTorch, by torchvision or transformers, in its faster layout."""
    import torch

    if importlib.util.find_spec("torchvision"):
        import torchvision

        builder = getattr(torchvision.models, name.lower().replace("netv2", "net_v2"))
        network: Any = builder()
    else:
        network = _of_transformers(name)
    return network.to(memory_format=torch.channels_last)


def _of_transformers(name: str) -> Any:
    import torch
    import transformers

    class Logits(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Any) -> Any:
            return self.model(images).logits

    if name == "MobileNetV2":
        config = transformers.MobileNetV2Config(tf_padding=False, num_labels=CLASSES)
        return Logits(transformers.MobileNetV2ForImageClassification(config))
    basic = name in ("ResNet18", "ResNet34")
    depths = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3]}
    depths |= {101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}
    config = transformers.ResNetConfig(
        depths=depths[int(name.removeprefix("ResNet"))],
        hidden_sizes=[64, 128, 256, 512] if basic else [256, 512, 1024, 2048],
        layer_type="basic" if basic else "bottleneck",
        num_labels=CLASSES,
    )
    return Logits(transformers.ResNetForImageClassification(config))


def multiplications(model: keras.Model) -> int:
    """Multiply-accumulates of convolutions and dense layers for one image."""
    kernels = [one for one in kb.graph.flatten(model).layers if hasattr(one, "kernel")]
    return sum(int(np.prod([*one.output.shape[1:-1], *one.kernel.shape])) for one in kernels)


def missing(*modules: str) -> str | None:
    """What would have to be installed, or None."""
    absent = [one for one in modules if importlib.util.find_spec(one) is None]
    return f"needs pip install {' '.join(absent)}" if absent else None


def missing_for_torch() -> str | None:
    """What would have to be installed for `torch_network`, or None."""
    return missing("torch") or (missing("torchvision") and missing("transformers"))


def matrix_product_peak(threads: int, side: int = 2048, turns: int = 5) -> float:
    """Multiply-accumulates per second of ONNX Runtime's float32 matrix product."""
    import time

    product = _matrix_product(threads, side)
    product()
    seconds = []
    for _ in range(turns):
        start = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - start)
    return side**3 / min(seconds)


def _matrix_product(threads: int, side: int) -> Callable[[], Any]:
    import onnx
    import onnxruntime
    from onnx import helper

    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "matrix_product",
        [helper.make_tensor_value_info(name, kind, [side, side]) for name in "ab"],
        [helper.make_tensor_value_info("c", kind, [side, side])],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers)
    feeds = {name: np.ones((side, side), np.float32) for name in "ab"}
    return lambda: session.run(None, feeds)
