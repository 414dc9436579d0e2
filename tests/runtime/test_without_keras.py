"""A device with numpy, pillow and one runtime needs neither keras nor tensorflow."""

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from keras_bottleneck.runtime import load

REPOSITORY = Path(__file__).parents[2]

# As on a machine without the packages: importing one raises, and looking for one finds nothing. (A
# finder that raises would make `importlib.util.find_spec` raise too, which absence does not.)
HIDE = """
import sys
from importlib.machinery import PathFinder

class Hide(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in {hidden!r}:
            return super().find_spec(name, path, target)

sys.meta_path[:] = [Hide if finder is PathFinder else finder for finder in sys.meta_path]
for name in {hidden!r}:
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise AssertionError(name + " is not hidden")
"""

PREDICT = """
import json, sys
from keras_bottleneck.runtime import load

predictions = [load(path)(sys.argv[1]) for path in sys.argv[2:]]
found = [name for name in ("keras", "tensorflow") if name in sys.modules]
json.dump({"predictions": predictions, "found": found}, sys.stdout)
"""


def python(executable, script, *arguments, cwd=REPOSITORY):
    """What `script` wrote to stdout; its stderr shows in the test's failure."""
    command = [str(executable), "-c", script, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return result.stdout


COMMAND = """
import json, sys
from keras_bottleneck.cli import main

codes = [main(words) for words in json.loads(sys.argv[1])]
found = [name for name in ("keras", "tensorflow") if name in sys.modules]
sys.stdout.write("\\n" + json.dumps([codes, found]))
"""


@pytest.fixture
def picture(images, tmp_path):
    from PIL import Image

    Image.fromarray(images[0]).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def expected(artifacts, picture):
    predictions = [load(artifacts[kind])(picture) for kind in ("tflite", "onnx")]
    return {"predictions": json.loads(json.dumps(predictions)), "found": []}


def test_predicts_with_keras_and_tensorflow_hidden(artifacts, picture):
    script = HIDE.format(hidden=("keras", "tensorflow")) + PREDICT
    output = python(sys.executable, script, picture, artifacts["tflite"], artifacts["onnx"])
    assert json.loads(output) == expected(artifacts, picture)


def test_the_command_works_with_keras_and_tensorflow_hidden(artifacts, picture):
    tflite = str(artifacts["tflite"])
    lines = [
        ["predict", tflite, str(picture)],
        ["audit", tflite],
        ["benchmark", tflite, "--threads", "1,2"],
        ["doctor", "--no-trials"],
        ["predict", str(artifacts["keras"]), str(picture)],
        ["summary", "ResNet18"],
    ]
    script = HIDE.format(hidden=("keras", "tensorflow")) + COMMAND
    output = python(sys.executable, script, json.dumps(lines))
    codes, found = json.loads(output.splitlines()[-1])
    assert codes == [0, 0, 0, 0, 2, 2]
    assert found == []
    for shown in ("bee", "CONV_2D", "p50 ms", "keras"):
        assert shown in output


@pytest.mark.parametrize(
    ("hidden", "line", "sentence"),
    [
        (("typer",), "--help", "this needs `typer`: pip install typer"),
        (("rich", "typer"), "--help", "this needs `typer`: pip install typer"),
        (("keras",), "summary ResNet18", "Keras is not installed: pip install keras"),
        (("onnx", "keras"), "audit ONNX", "this needs `onnx`: pip install onnx"),
        (("PIL", "keras"), "predict ONNX a.png", "Reading image files needs Pillow: pip install"),
        (
            ("onnxruntime", "keras"),
            "benchmark ONNX",
            "needs `onnxruntime`: pip install onnxruntime",
        ),
    ],
)
def test_what_the_command_lacks_is_one_sentence(artifacts, picture, hidden, line, sentence):
    script = HIDE.format(hidden=hidden) + "from keras_bottleneck.cli.app import entry_point\n"
    places = {"ONNX": artifacts["onnx"], "a.png": picture}
    words = [str(places.get(word, word)) for word in line.split()]
    command = [sys.executable, "-c", f"{script}entry_point()", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize(
    ("kind", "hidden", "package"),
    [
        ("tflite", ("ai_edge_litert",), "ai-edge-litert"),
        ("onnx", ("onnxruntime",), "onnxruntime"),
        ("keras", ("keras",), "keras"),
        ("saved_model", ("keras", "tensorflow"), "tensorflow"),
    ],
)
def test_missing_package_is_named(artifacts, kind, hidden, package):
    script = HIDE.format(hidden=hidden) + (
        "from keras_bottleneck.runtime import load\n"
        "try:\n    load(sys.argv[1])\n"
        "except ImportError as error:\n    sys.stdout.write(str(error))\n"
    )
    message = python(sys.executable, script, artifacts[kind])
    assert message.startswith("Reading a ")
    assert f"needs `{package}`: pip install {package}" in message
    assert "\n" not in message


@pytest.mark.slow
@pytest.mark.full
def test_missing_pillow_is_named(artifacts, picture):
    script = HIDE.format(hidden=("PIL",)) + (
        "from keras_bottleneck.runtime import load\n"
        "try:\n    load(sys.argv[2])(sys.argv[1])\n"
        "except ImportError as error:\n    sys.stdout.write(str(error))\n"
    )
    message = python(sys.executable, script, picture, artifacts["onnx"])
    assert message == "Reading image files needs Pillow: pip install pillow."


def test_arrays_need_no_pillow(artifacts):
    script = HIDE.format(hidden=("PIL", "keras", "tensorflow")) + (
        "import numpy as np\n"
        "from keras_bottleneck.runtime import load\n"
        "image = np.zeros((40, 30, 3), np.uint8)\n"
        "sys.stdout.write(str(len(load(sys.argv[1])(image, top=2))))\n"
    )
    assert python(sys.executable, script, artifacts["tflite"]) == "2"


def test_importing_the_package_imports_no_runtime():
    # Hidden, because the package itself may import an installed keras before its folder runtime.
    script = HIDE.format(hidden=("keras", "tensorflow")) + (
        "import keras_bottleneck.runtime\n"
        "names = ('keras', 'tensorflow', 'onnxruntime', 'onnx', 'ai_edge_litert', 'PIL')\n"
        "sys.stdout.write(str([name for name in names if name in sys.modules]))\n"
    )
    assert python(sys.executable, script) == "[]"


@pytest.mark.slow
def test_predicts_in_an_environment_without_keras(artifacts, picture, tmp_path):
    """The installed package, with nothing but what a device has."""
    venv.create(tmp_path / "device", with_pip=True)
    executable = tmp_path / "device" / "bin" / "python"
    pip = [str(executable), "-m", "pip", "install", "--quiet"]
    needed = ["numpy", "pillow", "ai-edge-litert", "onnxruntime", "typer", "rich"]
    subprocess.run([*pip, *needed], check=True)
    # A build leaves folders beside the sources, so it gets sources of its own.
    source = shutil.copytree(
        REPOSITORY,
        tmp_path / "source",
        ignore=shutil.ignore_patterns(".git", "build", "*.egg-info"),
    )
    subprocess.run([*pip, "--no-deps", str(source)], check=True)
    absent = "import importlib.util as u; print([u.find_spec(n) for n in ('keras', 'tensorflow')])"
    assert python(executable, absent, cwd=tmp_path).strip() == "[None, None]"
    arguments = (picture, artifacts["tflite"], artifacts["onnx"])
    output = json.loads(python(executable, PREDICT, *arguments, cwd=tmp_path))
    wanted = expected(artifacts, picture)
    assert output["found"] == []
    for ours, theirs in zip(output["predictions"], wanted["predictions"], strict=True):
        assert [label for label, _ in ours] == [label for label, _ in theirs]
        for (_, probability), (_, other) in zip(ours, theirs, strict=True):
            assert abs(probability - other) <= 1e-5
    tflite = str(artifacts["tflite"])
    lines = [["predict", tflite, str(picture)], ["audit", tflite], ["benchmark", tflite]]
    installed = executable.with_name("keras-bottleneck")
    for line in (*lines, ["doctor"], ["list"]):
        done = subprocess.run([installed, *line], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "keras-bottleneck" in done.stdout
