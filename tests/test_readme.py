"""Every code block of the README runs, and its figures are right."""

import re
import shlex
from pathlib import Path

import pytest

import keras_bottleneck as kb

pytest.importorskip("tensorflow", reason="the README's tour exports, which needs TensorFlow")

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
# The two install commands are what .ci/run executes, read from the README itself.
INSTALLS = ('pip install ".[demo]" && keras-bottleneck demo', 'pip install ".[test]" && pytest')
QUICK = ("ResNet50", "ResNet32")
LARGE = 12e6  # parameters


@pytest.mark.slow
def test_the_python_blocks_run_in_order(flowers, run_python_blocks, capsys):
    run_python_blocks(ROOT / "README.md")
    assert (flowers / "exported" / "manifest.json").is_file()
    printed = capsys.readouterr().out
    assert "resnet18.onnx" in printed
    # After five steps of training it need not be the right one.
    assert re.search(r"\[\('(daisy|rose|tulip)', [01]\.", printed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:quantize calibrates", "ignore:One step at its input")
def test_the_shell_blocks_run_in_order(flowers, code_blocks):
    from keras_bottleneck.cli import main

    lines = [
        line for block in code_blocks(ROOT / "README.md", "bash") for line in block.splitlines()
    ]
    commands = [line for line in lines if line not in INSTALLS]
    assert len(commands) == len(lines) - len(INSTALLS)
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "keras-bottleneck"
        assert main(arguments) == 0, command
    for name in ("resnet20_int8.tflite", "resnet20.onnx"):
        assert (flowers / "run" / "exported" / name).is_file()


def test_ci_runs_the_install_line_of_the_readme():
    assert "grep '^pip install \"\\.\\[test\\]\" && ' README.md" in (ROOT / ".ci/run").read_text()


def rows():
    return re.findall(r"\| `(\w+)`(?: \(v1\.5\))? \| ([\d,]+) \| ([\d,]+) \|", TEXT)


def test_all_models_are_in_the_table():
    builders = {*kb.models.VARIANTS, "MobileNetV2"} - {"ResNet1202"}
    assert sorted(name for name, _, _ in rows()) == sorted(builders)


def cases():
    """The rows, the others than those of `QUICK` marked slow, the largest networks `full` too."""
    found = []
    for name, parameters, multiplications in rows():
        large = int(parameters.replace(",", "")) > LARGE
        marks = [pytest.mark.slow, *([pytest.mark.full] if large else [])]
        case = (name, parameters, multiplications)
        found.append(pytest.param(*case, marks=[] if name in QUICK else marks))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parameters", "multiplications"), cases())
def test_the_table_of_models_is_right(name, parameters, multiplications):
    report = kb.analysis.cost(getattr(kb, name)())
    assert f"{report.trainable_parameters:,}" == parameters
    assert f"{report.macs:,}" == multiplications


@pytest.mark.parametrize(
    "name", ["timm_imagenet", "keras_imagenet", "torchvision_imagenet", "imagenet_v2"]
)
def test_the_table_of_checkpoints_is_right(name):
    (cell,) = re.findall(rf'^\| `"{name}"` \| (.+?)% \|', TEXT, re.MULTILINE)
    stated = {}
    for entry in cell.split(", "):
        model, accuracy = entry.split()
        stated[f"ResNet{model}" if model.isdigit() else model] = float(accuracy)
    rows = [row for row in kb.weights.CHECKPOINTS if row.name == name]
    assert stated == {row.model: round(row.top1, 1) for row in rows}


def test_the_table_of_layouts_is_right():
    from keras_bottleneck.weights.layouts import LAYOUTS

    table = TEXT.split("| layout | first convolution |")[1].split("\n\n")[0]
    found = dict(re.findall(r"^\| ([\w .]+?) \| `([^`]+)`", table, re.MULTILINE))
    assert set(found) == {layout.name for layout in LAYOUTS}
    for layout in LAYOUTS:
        kernel = layout.tensor(layout.layer("stem_conv", {}), "conv", "kernel")
        assert found[layout.name] == kernel
        tells = re.search(rf"^\| {re.escape(layout.name)} \|.*\| (.*?)\|$", table, re.MULTILINE)[1]
        for fact in ("stride_on", "padding", "epsilon"):
            told = getattr(layout.facts, fact) is not None or tells.startswith("all")
            assert (fact in tells or tells.startswith("all")) == told
