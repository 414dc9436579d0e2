"""`doctor` tells what is there, what is wrong with it, and what to do."""

import json
import os
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from keras_bottleneck import doctor, keras_here
from keras_bottleneck.doctor import requirements, trials
from keras_bottleneck.doctor.environment import Environment, numbers

REPOSITORY = Path(__file__).parents[2]

GOOD = Environment(
    versions={
        "keras-bottleneck": "0.1.0",
        "keras": "3.15.1",
        "tensorflow": "2.21.0",
        "tf2onnx": "1.17.0",
        "onnx": "1.23.2",
        "onnxruntime": "1.32.0",
        "ai-edge-litert": "2.3.0",
        "numpy": "2.4.6",
        "jax": None,
        "torch": None,
    },
    python="3.12.1",
    system="Linux 6.1",
    libc="glibc 2.36",
    machine="x86_64",
    cpu_flags=frozenset({"avx", "avx2", "avx512_vnni"}),
    cores=4,
    variables={},
    backend="tensorflow",
)


def with_versions(**versions):
    named = {name.replace("_", "-"): version for name, version in versions.items()}
    return replace(GOOD, versions={**GOOD.versions, **named})


# What each row of the table is found in, in the table's order.
BAD = [
    ("names that NumPy 2 has removed", with_versions(tf2onnx="1.16.1")),
    ("before 2.18 was built for NumPy 1", with_versions(tensorflow="2.17.1")),
    ("Keras 2 is installed", with_versions(keras="2.15.0")),
    (
        "makes tf.keras Keras 2",
        replace(with_versions(tf_keras="2.21.0"), variables={"TF_USE_LEGACY_KERAS": "1"}),
    ),
    ("tf-keras, which is not installed", replace(GOOD, variables={"TF_USE_LEGACY_KERAS": "True"})),
    ("it is for Keras 2 only", with_versions(tensorflow_model_optimization="0.8.1")),
    ("a backend that this package does not run on", replace(GOOD, backend="theano")),
    ("the backend that Keras takes is not installed", replace(GOOD, backend="jax")),
    ("everything works but export", replace(with_versions(jax="0.6.0"), backend="jax")),
    ("overwrite each other", with_versions(onnxruntime_gpu="1.32.0")),
    ("crashes Python", with_versions(litert_torch="0.8.1")),
    ("no AVX", replace(GOOD, cpu_flags=frozenset())),
    ("leaves oneDNN off", replace(GOOD, cpu_flags=frozenset({"avx", "avx2"}))),
    (
        "the command keras-bottleneck turns it on",
        replace(
            GOOD,
            cpu_flags=frozenset({"avx", "avx2"}),
            variables={"TF_ENABLE_ONEDNN_OPTS": "1"},
        ),
    ),
    ("turns oneDNN off", replace(GOOD, variables={"TF_ENABLE_ONEDNN_OPTS": "0"})),
    ("no VNNI", replace(GOOD, cpu_flags=frozenset({"avx", "avx2"}))),
]


def found(here):
    return [row for row in doctor.KNOWN_BAD if row.found(here)]


def test_nothing_is_wrong_with_a_good_environment():
    assert found(GOOD) == []
    assert found(replace(GOOD, cpu_flags=None)) == []
    assert found(replace(GOOD, machine="aarch64", cpu_flags=frozenset())) == []
    assert found(replace(GOOD, versions=dict.fromkeys(GOOD.versions))) == []


@pytest.mark.parametrize(("sentence", "here"), BAD)
def test_each_known_bad_combination_is_found(sentence, here):
    assert any(sentence in row.sentence for row in found(here))


def test_every_known_bad_combination_is_tested():
    assert len(BAD) == len(doctor.KNOWN_BAD)
    for (sentence, _), row in zip(BAD, doctor.KNOWN_BAD, strict=True):
        assert sentence in row.sentence
        assert row.link.startswith("https://")
        assert row.fix


def test_versions_are_compared_by_number():
    assert numbers("2.21.0rc1") == (2, 21, 0)
    assert numbers("2.13.0+cpu") == (2, 13, 0)
    assert with_versions(keras="3.9").older("keras", "3.10")
    assert not GOOD.older("torch", "3.0")


@pytest.mark.parametrize(
    ("variable", "file", "backend"),
    [
        ("jax", '{"backend": "torch"}', "jax"),
        (None, '{"backend": "torch"}', "torch"),
        (None, "{broken", "tensorflow"),
        (None, "[]", "tensorflow"),
        (None, None, "tensorflow"),
    ],
)
def test_the_backend_is_read_as_keras_reads_it(monkeypatch, tmp_path, variable, file, backend):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", variable or "")
    if file is not None:
        (tmp_path / "keras.json").write_text(file)
    assert keras_here.backend() == backend


def test_unmet_requirements_are_found(monkeypatch):
    assert requirements.unmet(["numpy", "not-there"]) == []
    wants = ["numpy<2; python_version>='3'", "numpy<1; extra=='old'", "not-there>5"]
    monkeypatch.setattr(requirements, "_requires", lambda package: wants)
    (only,) = requirements.unmet(["tf2onnx"])
    assert only.sentence.startswith("tf2onnx wants numpy<2, and 2.")
    assert only.fix == "pip install 'numpy<2'"


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A function that puts a library of one's own before the installed one."""

    def shadow(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return shadow


@pytest.mark.parametrize(
    ("source", "status", "detail", "fix"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "crashes",
            "the process ended with SIGSEGV",
            "pip install --force-reinstall onnxruntime",
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
            "crashes",
            "the process ended with SIGILL",
            "the processor lacks instructions",
        ),
        (
            "raise AttributeError('`np.cast` was removed in the NumPy 2.0 release.')",
            "fails",
            "a library here is older than the NumPy that it finds",
            "pip install --upgrade",
        ),
        ("raise ValueError('one\\ntwo')", "fails", "two", "pip install --force-reinstall"),
    ],
)
def test_what_goes_wrong_is_a_line(library, source, status, detail, fix):
    library("onnxruntime", source)
    trial = next(row for row in doctor.TRIALS if row.model == "onnxruntime")
    outcome = trials.outcome(trial, GOOD, 60)
    assert (outcome.status, outcome.detail) == (status, detail)
    assert fix in outcome.fix


def test_what_does_not_end_is_ended(library):
    library("torch", "import time; time.sleep(600)")
    trial = next(row for row in doctor.TRIALS if row.model == "torch")
    outcome = trials.outcome(trial, with_versions(torch="2.13.0"), 1.0)
    assert outcome.status == "hangs"
    assert outcome.detail == "it has not come to an end in 1 seconds"


def test_a_wrong_result_is_no_success(library):
    library("torch", "def tensor(x): return M()\ndef relu(x): return x\n"
            "class M:\n    def __matmul__(self, x): return self\n"
            "    def tolist(self): return [[0.0, 0.0], [15.0, 10.5]]\n")  # fmt: skip
    trial = next(row for row in doctor.TRIALS if row.model == "torch")
    outcome = trials.outcome(trial, with_versions(torch="2.13.0"), 60)
    assert outcome.status == "fails"
    assert "10.5" in outcome.detail


@pytest.mark.parametrize("model", ["litert", "onnxruntime"])
def test_the_runtimes_run_two_operators(model):
    trial = next(row for row in doctor.TRIALS if row.model == model)
    here = Environment.here()
    if not here.has(trial.packages[0]):
        pytest.skip(f"{trial.packages[0]} is not installed")
    outcome = trials.outcome(trial, here, 120)
    assert outcome.status == "runs", outcome.detail
    assert outcome.seconds > 0


@pytest.mark.slow
@pytest.mark.full
def test_everything_that_is_installed_runs():
    diagnosis = doctor.examine(timeout=300)
    statuses = {one.name: (one.status, one.detail) for one in diagnosis.outcomes}
    assert set(statuses) == {row.name for row in doctor.TRIALS}
    assert {status for status, _ in statuses.values()} <= {"runs", "not installed"}, statuses
    if diagnosis.environment.has("tensorflow"):
        assert diagnosis.onednn in (True, False)
    assert diagnosis.problems == []


PROBE = """
import sys
from keras_bottleneck import doctor, keras_here
diagnosis = doctor.examine()
sys.stdout.write(diagnosis.to_json())
"""


@pytest.fixture
def python_without(tmp_path):
    """A function: a Python that has what this one has but for some packages."""

    def make(*hidden):
        venv.create(tmp_path / "python", with_pip=False)
        (site,) = (tmp_path / "python").glob("lib/python*/site-packages")
        for entry in Path(pytest.__file__).parents[1].iterdir():
            name = entry.name.replace("-", "_").lower()
            if not name.startswith((*hidden, "__editable__", "keras_bottleneck")):
                (site / entry.name).symlink_to(entry)
        return tmp_path / "python" / "bin" / "python"

    return make


@pytest.mark.slow
def test_works_where_tensorflow_and_onnxruntime_are_missing(python_without, tmp_path):
    python = python_without("tensorflow", "onnxruntime", "jax", "torch", "functorch")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "KERAS_HOME": str(tmp_path)}
    environment.pop("KERAS_BACKEND", None)
    command = [str(python), "-c", PROBE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    status = {one["name"]: one for one in found["runtimes"]}
    assert status["TensorFlow"]["status"] == "not installed"
    assert status["TensorFlow"]["fix"] == "pip install tensorflow"
    assert status["ONNX Runtime"]["status"] == "not installed"
    if found["environment"]["versions"]["ai-edge-litert"]:
        assert status["LiteRT"]["status"] == "runs", status["LiteRT"]
    assert status["Keras"]["status"] == "fails"
    assert any("backend that Keras takes is not installed" in one for one in found["problems"])


def test_without_a_backend_the_package_says_why_its_models_are_missing(python_without, tmp_path):
    python = python_without("tensorflow", "jax", "torch", "functorch")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "KERAS_HOME": str(tmp_path)}
    environment.pop("KERAS_BACKEND", None)
    script = "import keras_bottleneck as kb; print(kb.runtime.load); kb.ResNet18"
    command = [str(python), "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "function load" in done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert "keras_bottleneck.ResNet18 is not there: Keras cannot be imported" in last
    assert "No module named 'tensorflow'" in last


@pytest.mark.slow
def test_the_command_works_without_a_backend(python_without, tmp_path):
    python = python_without("tensorflow", "jax", "torch", "functorch")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "KERAS_HOME": str(tmp_path)}
    environment.pop("KERAS_BACKEND", None)

    def command(*words):
        line = [str(python), "-m", "keras_bottleneck.cli", *words]
        return subprocess.run(line, env=environment, capture_output=True, text=True)

    assert "doctor" in command("--help").stdout
    done = command("doctor", "--no-trials", "--json")
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["problems"]
    assert "ResNet50" in command("list").stdout
    done = command("summary", "ResNet50")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "Keras cannot be imported (No module named 'tensorflow'" in done.stderr
    assert done.stderr.count("\n") == 1


def diagnosis():
    here = replace(with_versions(tf2onnx="1.16.1"), cpu_flags=frozenset({"avx"}))
    row = found(here)[0]
    outcomes = (
        doctor.Outcome("TensorFlow", "runs", 3.2, onednn=True),
        doctor.Outcome("LiteRT", "crashes", 1.0, "the process ended with SIGILL", "use another"),
        doctor.Outcome("JAX", "not installed", fix="pip install jax"),
    )
    complaints = (
        doctor.Complaint(row.sentence, row.fix, row.link),
        doctor.Complaint("good to know", "nothing to do", problem=False),
    )
    return doctor.Diagnosis(here, outcomes, complaints)


def test_json_holds_everything():
    told = json.loads(diagnosis().to_json())
    assert told["environment"]["versions"]["tf2onnx"] == "1.16.1"
    assert told["environment"]["cpu_flags"] == ["avx"]
    assert told["onednn"] is True
    assert told["runtimes"][1]["status"] == "crashes"
    assert len(told["complaints"]) == 2
    (problem,) = told["problems"]
    assert "pip install --upgrade tf2onnx (https://github.com/onnx/" in problem


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal(width, capsys):
    Console(width=width).print(diagnosis())
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for part in ("tf2onnx", "1.16.1", "SIGILL", "problem", "note", "oneDNN", "pip install jax"):
        assert part in text


@pytest.mark.parametrize("arguments", [{"trials": "yes"}, {"timeout": 0}, {"timeout": "long"}])
def test_wrong_arguments(arguments):
    with pytest.raises(ValueError, match="Received"):
        doctor.examine(**arguments)


def test_nothing_is_imported():
    code = (
        "import sys; sys.modules['keras'] = None\n"
        "import keras_bottleneck.doctor as d; d.examine(trials=False)\n"
        "print([n for n in ('tensorflow', 'onnxruntime', 'ai_edge_litert') if n in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
