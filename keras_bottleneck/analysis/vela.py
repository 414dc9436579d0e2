"""Arm's own compiler for Ethos-U: what runs on the NPU, in how many cycles and how much memory."""

import configparser
import csv
import importlib.util
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.console import Printable

ACCELERATORS = (
    *("ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256"),
    *("ethos-u65-256", "ethos-u65-512"),
    *("ethos-u85-128", "ethos-u85-256", "ethos-u85-512", "ethos-u85-1024", "ethos-u85-2048"),
)
# The file with system configurations and memory modes that comes with the compiler.
CONFIG = "Arm/vela.ini"
# Of each family: a system configuration and a memory mode of it.
SYSTEMS = {
    "ethos-u55": ("Ethos_U55_High_End_Embedded", "Shared_Sram"),
    "ethos-u65": ("Ethos_U65_High_End", "Dedicated_Sram"),
    "ethos-u85": ("Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram"),
}
MEMORIES = ("sram", "dram", "on_chip_flash", "off_chip_flash")
TIMEOUT_S = 600


@dataclass(frozen=True)
class VelaReport(Printable):
    """What the compiler says of a file; printing it shows a table.

    Attributes:
        path: The file.
        accelerator: What it was compiled for, such as `"ethos-u55-128"`.
        system_config: Clock and memories of the system, a section of the compiler's `vela.ini`.
        memory_mode: Which memory holds what, another one.
        on_cpu: The operators that stay on the CPU, such as "Mean avg_pool".
        macs: Multiply-accumulates of each kind of operator on the NPU. Those of "Conv2D",
            "DepthwiseConv2D" and "FullyConnected" are what `cost` counts; the compiler has some
            for pooling, padding and softmax as well.
        cycles: Its estimate for one inference, on the NPU alone.
        milliseconds: The same at the clock of the system.
        memory: Bytes of each memory that are used: of `"sram"`, `"dram"`, `"on_chip_flash"` and
            `"off_chip_flash"`.
    """

    path: Path
    accelerator: str
    system_config: str
    memory_mode: str
    on_cpu: tuple[str, ...]
    macs: dict[str, int]
    cycles: int
    milliseconds: float
    memory: dict[str, int]

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(title=f"{self.path.name} on {self.accelerator}")
        table.caption = f"{self.system_config}, {self.memory_mode}"
        table.add_column("estimate of vela")
        table.add_column("", justify="right")
        table.add_row("cycles", f"{self.cycles:,}")
        table.add_row("inference", f"{self.milliseconds:.3g} ms")
        for name, used in self.memory.items():
            if used:
                table.add_row(name.replace("_", " "), f"{used:,} B")
        table.add_section()
        for name, macs in self.macs.items():
            if macs:
                table.add_row(f"MACs of {name}", f"{macs:,}")
        table.add_section()
        for name in self.on_cpu or ("all operators on the NPU",):
            table.add_row(name, "on the CPU" if self.on_cpu else "")
        return table


def vela(
    path: str | Path,
    accelerator: str = "ethos-u55-128",
    system_config: str | None = None,
    memory_mode: str | None = None,
) -> VelaReport:
    """Compile a .tflite file for an Arm Ethos-U with `ethos-u-vela`, and read its estimates.

    Only operators whose inputs and outputs are integers run on the NPU: export the quantized
    model with `io_type="int8"`. Of a file in float, everything is listed in `on_cpu`.

    Args:
        path: The file; it stays as it is, and the compiled one is not kept.
        accelerator: The NPU and its multiply-accumulates per cycle, such as `"ethos-u55-128"`.
        system_config: A system configuration in the compiler's `Arm/vela.ini`; by default a fast
            one of the accelerator's family.
        memory_mode: A memory mode in it; by default one that suits that.

    Returns:
        A `VelaReport`.

    Raises:
        ImportError: If `ethos-u-vela` is not installed.
        ValueError: For a wrong argument, or a file that the compiler refuses.

    Example:
        >>> report = vela("exported/resnet18_int8.tflite", "ethos-u85-256")  # doctest: +SKIP
        >>> report.on_cpu, report.cycles  # doctest: +SKIP
        ((), 3832031)
    """
    known = _sections()
    if not isinstance(path, (str, Path)) or not Path(path).is_file():
        raise checks.reject("path", str(path), "an existing .tflite file")
    checks.one_of("accelerator", accelerator, ACCELERATORS)
    system, memory = SYSTEMS[accelerator.rsplit("-", 1)[0]]
    system_config = system if system_config is None else system_config
    memory_mode = memory if memory_mode is None else memory_mode
    checks.one_of("system_config", system_config, known["System_Config"])
    checks.one_of("memory_mode", memory_mode, known["Memory_Mode"])
    with tempfile.TemporaryDirectory() as folder:
        _compile(Path(path), accelerator, system_config, memory_mode, folder)
        (summary,) = _rows(folder, "*_summary_*.csv")
        operators = _rows(folder, "*_per-layer.csv")
    macs: Counter[str] = Counter()
    for row in operators:
        macs[row["Original Operator"]] += int(row["MAC Count"])
    return VelaReport(
        path=Path(path),
        accelerator=accelerator,
        system_config=system_config,
        memory_mode=memory_mode,
        on_cpu=tuple(
            f"{row['Original Operator']} {row['Name']}"
            for row in operators
            if row["Target"] != "NPU"
        ),
        macs=dict(macs),
        cycles=int(float(summary["cycles_total"])),
        milliseconds=1e3 * float(summary["inference_time"]),
        memory={name: round(1024 * float(summary[f"{name}_memory_used"])) for name in MEMORIES},
    )


def _sections() -> dict[str, list[str]]:
    """The names of the system configurations and memory modes that the compiler knows.

    Raises:
        ImportError: If it is not installed.
    """
    package = importlib.util.find_spec("ethosu")
    if package is None or package.submodule_search_locations is None:
        raise ImportError("Compiling for Ethos-U needs `ethos-u-vela`: pip install ethos-u-vela.")
    parser = configparser.ConfigParser()
    parser.read(
        [Path(folder) / "config_files" / CONFIG for folder in package.submodule_search_locations]
    )
    names: dict[str, list[str]] = {"System_Config": [], "Memory_Mode": []}
    for section in parser.sections():
        kind, _, name = section.partition(".")
        names[kind].append(name)
    return names


def _compile(path: Path, accelerator: str, system: str, memory: str, folder: str) -> None:
    """Run the compiler, in a process of its own, which writes its tables into `folder`.

    Raises:
        ValueError: If it fails. It does not where nothing runs on the NPU.
    """
    options = {
        "accelerator-config": accelerator,
        "config": CONFIG,
        "system-config": system,
        "memory-mode": memory,
        "output-dir": folder,
    }
    # Only this option makes it write the table of operators.
    command = [sys.executable, "-m", "ethosu.vela", str(path), "--verbose-performance"]
    for name, value in options.items():
        command += [f"--{name}", value]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode or not list(Path(folder).glob("*_per-layer.csv")):
        message = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        called = f"{accelerator}, {system}, {memory}"
        raise checks.reject(
            "path", str(path), f"a file that vela compiles for {called} ({message})"
        )


def _rows(folder: str, pattern: str) -> list[dict[str, str]]:
    (path,) = Path(folder).glob(pattern)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
