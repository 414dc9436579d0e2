"""What this Python finds around it, without importing any of it."""

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass

from keras_bottleneck import keras_here, processor
from keras_bottleneck.version import __version__, version_of

# Under each name, the distributions that bring it, the usual one first.
PACKAGES = {
    "keras": ("keras",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tf-nightly"),
    "tf2onnx": ("tf2onnx",),
    "onnx": ("onnx",),
    "onnxruntime": ("onnxruntime",),
    "ai-edge-litert": ("ai-edge-litert",),
    "numpy": ("numpy",),
    "pillow": ("pillow",),
    "protobuf": ("protobuf",),
    "h5py": ("h5py",),
    "torch": ("torch",),
    "jax": ("jax",),
}
# Not used here, but known to get in the way.
NEIGHBOURS = (
    "onnxruntime-gpu",
    "tf-keras",
    "tensorflow-model-optimization",
    "litert-torch",
    "tensorflow-text",
)
VARIABLES = (
    "KERAS_BACKEND",
    "TF_USE_LEGACY_KERAS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_CPP_MIN_LOG_LEVEL",
    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION",
    "CUDA_VISIBLE_DEVICES",
)


@dataclass(frozen=True)
class Environment:
    """Versions, variables and processor.

    Attributes:
        versions: Of each package; None where it is not installed.
        python: Python's version.
        system: Operating system and its version.
        libc: The C library and its version; empty where there is no such thing.
        machine: The kind of processor, such as "x86_64".
        cpu_flags: Those of its features that matter here; None where the system does not tell.
        cores: Cores that this process may use.
        variables: Environment variables that matter here, as far as they are set.
        backend: The backend that Keras will take: from `KERAS_BACKEND` or Keras's own file.
    """

    versions: Mapping[str, str | None]
    python: str
    system: str
    libc: str
    machine: str
    cpu_flags: frozenset[str] | None
    cores: int
    variables: Mapping[str, str]
    backend: str

    @classmethod
    def here(cls) -> "Environment":
        """That of this process."""
        known = {"keras-bottleneck": __version__} | {
            name: next(filter(None, map(version_of, distributions)), None)
            for name, distributions in PACKAGES.items()
        }
        beside = {name: version_of(name) for name in NEIGHBOURS}
        usable = getattr(os, "sched_getaffinity", None)
        return cls(
            versions=known | {name: version for name, version in beside.items() if version},
            python=platform.python_version(),
            system=f"{platform.system()} {platform.release()}",
            libc=" ".join(platform.libc_ver()).strip(),
            machine=platform.machine(),
            cpu_flags=processor.flags(),
            cores=len(usable(0)) if usable else os.cpu_count() or 1,
            variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
            backend=keras_here.backend(),
        )

    @property
    def is_x86(self) -> bool:
        """Whether the processor is an x86."""
        return self.machine.lower() in processor.X86

    @property
    def has_vnni(self) -> bool | None:
        """Whether the processor multiplies int8 without saturating; None if that is not known."""
        if self.cpu_flags is None:
            return None
        return bool(self.cpu_flags & processor.EXACT)

    def has(self, package: str) -> bool:
        """Whether `package` is installed."""
        return self.versions.get(package) is not None

    def older(self, package: str, version: str) -> bool:
        """Whether `package` is installed, and older than `version`."""
        installed = self.versions.get(package)
        return installed is not None and numbers(installed) < numbers(version)


def numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: (2, 21, 0) of "2.21.0rc1"."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[a-z+-]", version)[0]))
