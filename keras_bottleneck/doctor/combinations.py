"""Combinations that are known not to work, one row each."""

from collections.abc import Callable
from dataclasses import dataclass

from keras_bottleneck.doctor.environment import Environment, numbers

GITHUB = "https://github.com"
BACKENDS = ("tensorflow", "jax", "torch")


@dataclass(frozen=True)
class KnownBad:
    """A property of an environment that is known to cause trouble.

    Attributes:
        found: Whether an environment has it.
        sentence: What it causes.
        fix: What to do about it.
        link: Where it was reported.
        problem: Whether something does not work because of it; otherwise it is only worth knowing.
    """

    found: Callable[[Environment], bool]
    sentence: str
    fix: str
    link: str
    problem: bool = True


def _newer(here: Environment, package: str, version: str) -> bool:
    installed = here.versions.get(package)
    return installed is not None and numbers(installed) >= numbers(version)


def _is_on(here: Environment, variable: str) -> bool:
    return here.variables.get(variable, "").lower() in ("1", "true")


def _leaves_onednn_off(here: Environment) -> bool:
    """Whether TensorFlow computes without oneDNN unless it is told to."""
    on_tensorflow = here.has("tensorflow") and here.backend == "tensorflow"
    return on_tensorflow and here.is_x86 and here.has_vnni is False


ONEDNN_LEFT_OFF = KnownBad(
    lambda here: _leaves_onednn_off(here) and "TF_ENABLE_ONEDNN_OPTS" not in here.variables,
    "TensorFlow leaves oneDNN off on processors without VNNI, and trains up to twice as fast "
    "with it",
    "set TF_ENABLE_ONEDNN_OPTS=1 before Python starts, as the command keras-bottleneck does",
    f"{GITHUB}/tensorflow/tensorflow/releases/tag/v2.9.0",
    problem=False,
)
ONEDNN_TURNED_ON = KnownBad(
    lambda here: _leaves_onednn_off(here) and here.variables.get("TF_ENABLE_ONEDNN_OPTS") == "1",
    "TensorFlow leaves oneDNN off on processors without VNNI: the command keras-bottleneck turns "
    "it on, unless TF_ENABLE_ONEDNN_OPTS is set",
    "set TF_ENABLE_ONEDNN_OPTS=1 before Python starts for programs of your own, too",
    f"{GITHUB}/tensorflow/tensorflow/releases/tag/v2.9.0",
    problem=False,
)

KNOWN_BAD = (
    KnownBad(
        lambda here: here.older("tf2onnx", "1.17") and _newer(here, "numpy", "2.0"),
        "tf2onnx before 1.17 uses names that NumPy 2 has removed: ONNX export fails",
        "pip install --upgrade tf2onnx",
        f"{GITHUB}/onnx/tensorflow-onnx/issues/2373",
    ),
    KnownBad(
        lambda here: here.older("tensorflow", "2.18") and _newer(here, "numpy", "2.0"),
        "TensorFlow before 2.18 was built for NumPy 1, and NumPy 2 is installed",
        "pip install --upgrade tensorflow",
        f"{GITHUB}/tensorflow/tensorflow/issues/90245",
    ),
    KnownBad(
        lambda here: here.older("keras", "3.0"),
        "Keras 2 is installed, and this package is for Keras 3",
        "pip install --upgrade keras tensorflow",
        f"{GITHUB}/tensorflow/tensorflow/issues/70394",
    ),
    KnownBad(
        lambda here: _is_on(here, "TF_USE_LEGACY_KERAS"),
        "TF_USE_LEGACY_KERAS makes tf.keras Keras 2, whose models and layers are none of Keras 3",
        "unset TF_USE_LEGACY_KERAS",
        f"{GITHUB}/huggingface/transformers/issues/36410",
    ),
    KnownBad(
        lambda here: _is_on(here, "TF_USE_LEGACY_KERAS") and not here.has("tf-keras"),
        "TF_USE_LEGACY_KERAS asks for tf-keras, which is not installed: tf.keras fails",
        "unset TF_USE_LEGACY_KERAS",
        f"{GITHUB}/huggingface/transformers/pull/40391",
    ),
    KnownBad(
        lambda here: here.has("tensorflow-model-optimization"),
        "importing tensorflow_model_optimization sets TF_USE_LEGACY_KERAS: it is for Keras 2 only",
        "keep it out of processes that use this package; `quantize` does what it is for",
        f"{GITHUB}/tensorflow/model-optimization/issues/1180",
        problem=False,
    ),
    KnownBad(
        lambda here: here.has("keras") and here.backend not in BACKENDS,
        "Keras is told to use a backend that this package does not run on",
        f"set KERAS_BACKEND to one of {', '.join(BACKENDS)}",
        "https://keras.io/getting_started/#configuring-your-backend",
    ),
    KnownBad(
        lambda here: here.has("keras") and here.backend in BACKENDS and not here.has(here.backend),
        "the backend that Keras takes is not installed: importing Keras fails",
        "install it, or set KERAS_BACKEND to one that is",
        "https://keras.io/getting_started/#configuring-your-backend",
    ),
    KnownBad(
        lambda here: here.has("keras") and here.backend in ("jax", "torch"),
        "Keras is not on TensorFlow: everything works but export",
        "save as .keras, and export where KERAS_BACKEND=tensorflow",
        "https://keras.io/getting_started/#configuring-your-backend",
        problem=False,
    ),
    KnownBad(
        lambda here: here.has("onnxruntime") and here.has("onnxruntime-gpu"),
        "onnxruntime and onnxruntime-gpu are both installed, and overwrite each other's files",
        "pip uninstall onnxruntime onnxruntime-gpu, and install the one that you want",
        f"{GITHUB}/microsoft/onnxruntime/issues/26996",
    ),
    KnownBad(
        lambda here: here.older("litert-torch", "0.9") and here.has("tensorflow"),
        "litert-torch before 0.9 crashes Python where TensorFlow is installed too",
        "pip install --upgrade litert-torch",
        f"{GITHUB}/google-ai-edge/litert-torch/issues/978",
    ),
    KnownBad(
        lambda here: (
            here.has("tensorflow")
            and here.is_x86
            and here.cpu_flags is not None
            and "avx" not in here.cpu_flags
        ),
        "the processor has no AVX, which the TensorFlow of PyPI needs: it ends in 'Illegal "
        "instruction'",
        "train and export on another machine; `runtime` alone works without TensorFlow",
        f"{GITHUB}/tensorflow/tensorflow/issues/17411",
    ),
    ONEDNN_LEFT_OFF,
    ONEDNN_TURNED_ON,
    KnownBad(
        lambda here: here.variables.get("TF_ENABLE_ONEDNN_OPTS") == "0",
        "TF_ENABLE_ONEDNN_OPTS=0 turns oneDNN off: TensorFlow is slower, most of all in bfloat16, "
        "and lacks grouped convolutions on CPUs",
        "unset TF_ENABLE_ONEDNN_OPTS",
        f"{GITHUB}/tensorflow/tensorflow/issues/53631",
        problem=False,
    ),
    KnownBad(
        lambda here: (
            (here.has("onnxruntime") or here.has("onnxruntime-gpu"))
            and here.is_x86
            and here.has_vnni is False
        ),
        "the processor has no VNNI: int8 products of ONNX Runtime saturate in files that other "
        "tools, or `quantize(reduce_range=False)`, made",
        'set "session.x64quantprecision" to "1" for those, as `runtime.load` does; `audit` tells '
        "which they are",
        f"{GITHUB}/microsoft/onnxruntime/issues/11415",
        problem=False,
    ),
)
