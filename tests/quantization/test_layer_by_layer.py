"""The simulation of each operator from the runtime's own integers, and what the files hold.

The runtime is LiteRT with its built-in kernels: of it alone all integers can be seen.
"""

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

import keras_bottleneck as kb

from . import layer_by_layer, networks, operators, published, runtimes

# Percentages of equal integers.
EVERY_LAYER, AVERAGE = 98.5, 99.5
SAME = 1e-6
FLOAT32 = 2.0**-23
IMAGES = {"small": 100, "resnet20": 100, "mobilenet_v2": 60}

CASES = [
    pytest.param("small", marks=pytest.mark.slow),
    pytest.param("resnet20", marks=[pytest.mark.slow, pytest.mark.full]),
    pytest.param("mobilenet_v2", marks=[pytest.mark.slow, pytest.mark.full]),
]


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    return networks.made(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def comparison(case):
    return layer_by_layer.Comparison(case.model, case.tflite, case.images[:1])


def below(node, percentage):
    """Whether fewer are equal, by more than three deviations of what chance does to few values."""
    wrong = 1 - percentage / 100
    return node.values - node.steps[0] > node.values * wrong + 3 * np.sqrt(node.values * wrong)


def test_each_operator_of_the_runtime_is_simulated(case, comparison):
    assert comparison.missed() == []
    comparison.add(case.images[: IMAGES[case.name]])
    nodes = comparison.compared
    layer_by_layer.table(case.name, nodes)
    far = [f"{one.name} ({one.kind}): {one.farthest} steps" for one in nodes if one.farthest > 1]
    low = [f"{x.name} ({x.kind}): {x.equal:.2f}%" for x in nodes if below(x, EVERY_LAYER)]
    average = np.mean([node.equal for node in nodes])
    assert (far, low) == ([], [])
    assert average >= AVERAGE


@pytest.mark.parametrize("name", operators.OPERATORS)
def test_each_single_operator_is_simulated_and_exported(name, tmp_path):
    _, expected, measured = operators.OPERATORS[name]
    images = networks.waves(116, operators.SIDE)
    model = kb.quantize(operators.network(name), images[:100])
    report = kb.export_model(model, tmp_path, verify=images[100:])
    assert max(one.comparison.error for one in report.artifacts) < 0.05
    path = report["tflite_int8"].path
    assert expected <= set(kb.audit(path).operators)
    comparison = layer_by_layer.Comparison(model, path, images[100:101])
    # Of an operation that becomes several operators, only the last has a counterpart.
    assert [one for one in comparison.missed() if one.split()[0] not in expected] == []
    comparison.add(images[100:])
    nodes = comparison.compared
    layer_by_layer.table(name, nodes)
    assert max(node.farthest for node in nodes) <= 1
    assert [f"{x.name}: {x.equal:.2f}%" for x in nodes if below(x, EVERY_LAYER)] == []
    own = [node for node in nodes if node.kind in expected]
    assert [f"{x.name}: {x.equal:.2f}%" for x in own if below(x, measured - 0.5)] == []


def test_activations_have_one_grid_everywhere(case, comparison):
    onnx_grids, _ = runtimes.read_onnx(case.onnx)
    largest = {"TFLite": 0.0, "ONNX": 0.0}
    for node in comparison.nodes:
        step, zero = node.grid
        assert int(node.twin.zero[0]) == zero, node.name
        largest["TFLite"] = max(largest["TFLite"], abs(float(node.twin.step[0]) / step - 1))
        errors = [abs(scale / step - 1) for scale, other in onnx_grids if other == zero + 128]
        assert errors, f"ONNX has no grid for {node.name} with zero point {zero + 128}"
        largest["ONNX"] = max(largest["ONNX"], min(errors))
    print(f"{case.name}: {len(comparison.nodes)} grids; largest difference of a step: {largest}")
    for step, zero in onnx_grids:
        known = [abs(step / one.grid.step - 1) for one in comparison.nodes]
        zeros = [one.grid.zero + 128 for one in comparison.nodes]
        assert min(e for e, z in zip(known, zeros, strict=True) if z == zero) <= SAME
    assert max(largest.values()) <= SAME


def test_kernels_and_biases_are_the_same_integers(case, comparison):
    _, onnx_kernels = runtimes.read_onnx(case.onnx)
    shown = Table(title=f"{case.name}: integers that differ from Keras's")
    for name in (
        "layer",
        "kernel",
        "bias",
        "TFLite kernel",
        "ONNX kernel",
        "TFLite bias",
        "ONNX bias",
    ):
        shown.add_column(name)
    different = []
    for ours, tflite in comparison.integers():
        onnx = onnx_kernels.pop(ours.name)
        for other in (tflite, onnx):
            steps = (other.kernel_step / ours.kernel_step, other.bias_step / ours.bias_step)
            if max(np.abs(one - 1).max() for one in steps) > SAME:
                different.append(f"steps of {ours.name}")
        # ONNX has depthwise kernels as (h, w, 1, channels), and biases that broadcast.
        counts = [int(np.sum(x.kernel.ravel() != ours.kernel.ravel())) for x in (tflite, onnx)]
        for other in (tflite, onnx):
            error = np.abs(other.bias.ravel() - ours.bias)
            counts.append(int(np.sum(error > 0)))
            # Keras and both converters hold biases in float32, and divide by the step.
            if np.any(error > np.maximum(1, np.abs(ours.bias) * FLOAT32)):
                different.append(f"bias of {ours.name}")
        shown.add_row(ours.name, *map(str, (ours.kernel.size, ours.bias.size, *counts)))
        different += [f"kernel of {ours.name}"] if any(counts[:2]) else []
    Console(width=120).print(shown)
    assert not onnx_kernels
    assert different == []


@pytest.mark.slow
def test_published_resnet20_has_its_accuracy():
    images, labels = published.cifar("test")
    classes = published.resnet20().predict(images, batch_size=100, verbose=0).argmax(-1)
    accuracy = float(np.mean(classes == labels))
    print(f"ResNet20 in float on {len(images)} test images: {accuracy:.2%}")
    # 91.67% of 9,809 test images; of these 2,000, in PyTorch too, 91.00%.
    assert accuracy >= 0.905
