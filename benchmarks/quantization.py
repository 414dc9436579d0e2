"""int8 MobileNetV2: this package's quantizer against TFLiteConverter's and ONNX Runtime's.

MobileNetV2 1.0 224 with ImageNet weights, ending in logits, is calibrated on one half of 100
validation photos and judged on the other half, in the runtimes that the files are for: LiteRT with
XNNPACK (its default), LiteRT's built-in kernels, and ONNX Runtime. Judged against the float Keras
model: SQNR of the logits in dB (also with each image's mean logit removed, on which no ranking
depends) and top-1 agreement; then top-1 accuracy, file size, and the median CPU time of an image,
all files taking turns in one process. ONNX files run in a plain session, in one that may not
saturate on processors without VNNI, and as `runtime.load` opens them. A second table has the CPU
seconds of each step. Peers are TFLiteConverter's post-training quantization and `quantize_static`.

    KERAS_BOTTLENECK_DATA=path/to/data python benchmarks/quantization.py --output quantization.json
"""

import argparse
import csv
import json
import logging
import os
import statistics
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from onnxruntime import quantization as ort
from rich.console import Console
from rich.table import Table

import keras_bottleneck as kb
from keras_bottleneck import charts
from keras_bottleneck.export.native_messages import native_messages_held
from keras_bottleneck.version import versions

PREPROCESSING = kb.Preprocessing(224, 3, "crop", 0.875, scale=1 / 127.5, mean=(1.0,))
THREADS = (1, 2)
# Without it, x86 processors saturate ONNX Runtime's U8S8 products.
VNNI = Path("/proc/cpuinfo").exists() and "vnni" in Path("/proc/cpuinfo").read_text()
PLAIN = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
TIMED_RUNS = 3  # of each file in each round, after one that is not timed

# Makers, as the picture calls them.
NAMES = {"official": "peer:", "ours": "quantize:"}
# Row name to the arguments of `quantize`.
OURS: dict[str, dict[str, Any]] = {
    "default": {},
    "adaptive": {"rounding": "adaptive"},
    "unrestricted": {"reduce_range": False},
    "unrestricted-adaptive": {"reduce_range": False, "rounding": "adaptive"},
    "no-equalization": {"equalize": False},
    "no-bias-correction": {"bias_correction": False},
    "percentile": {"calibrator": "percentile"},
    "entropy": {"calibrator": "entropy"},
    "minmax": {"calibrator": "minmax"},
    "bare-minmax": {"calibrator": "minmax", "equalize": False, "bias_correction": False},
}
# The .onnx file (prepared: by `quant_pre_process`), the type of activations, the calibration.
STATIC = (
    ("float", "QUInt8", "MinMax"),
    ("prepared", "QUInt8", "MinMax"),
    ("prepared", "QInt8", "MinMax"),
    ("prepared", "QUInt8", "Entropy"),
    ("prepared", "QUInt8", "Percentile"),
)


def litert(path: Path, threads: int, resolver: OpResolverType) -> tuple[Callable, Callable]:
    """A function from image to input tensor, and one from input tensor to logits."""
    chosen = {"num_threads": threads, "experimental_op_resolver_type": resolver}
    interpreter = Interpreter(str(path), **chosen)
    interpreter.allocate_tensors()
    (start,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()

    def prepare(image: np.ndarray) -> np.ndarray:
        if start["dtype"] == np.float32:
            return image
        scale, zero_point = start["quantization"]
        return np.clip(np.round(image / scale) + zero_point, -128, 127).astype(np.int8)

    def run(tensor: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(start["index"], tensor)
        interpreter.invoke()
        logits = interpreter.get_tensor(end["index"])[0]
        scale, zero_point = end["quantization"] if logits.dtype == np.int8 else (1, 0)
        return scale * (logits.astype(np.float32) - zero_point)

    return prepare, run


def onnx(path: Path, threads: int, careful: bool = False) -> tuple[Callable, Callable]:
    """As `litert`, for ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    if careful:
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = threads
    # Threads that keep spinning after a run would slow down the file that has the next turn.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: image, lambda tensor: session.run(None, {name: tensor})[0][0]


def loaded(path: Path, threads: int) -> tuple[Callable, Callable]:
    """As `litert`, for what `runtime.load` makes of a file."""
    predictor = kb.runtime.load(path, threads=threads, trusted=True)
    return lambda image: image, lambda tensor: predictor.run(tensor)[0]


# Name to file suffix and loader.
RUNTIMES: dict[str, tuple[str, Callable]] = {
    "XNNPACK": (".tflite", partial(litert, resolver=OpResolverType.AUTO)),
    "TFLite kernels": (".tflite", partial(litert, resolver=PLAIN)),
    "ONNX Runtime": (".onnx", onnx),
    "ONNX Runtime, careful": (".onnx", partial(onnx, careful=True)),
    "runtime.load": (".onnx", loaded),
}


@dataclass
class Row:
    """One file in one runtime; `maker` is "float", "official" or "ours"."""

    maker: str
    name: str
    runtime: str
    path: Path | None
    figures: dict[str, float]
    cpu_ms: dict[int, float] = field(default_factory=dict)


def sqnr(reference: np.ndarray, found: np.ndarray) -> float:
    """Signal to quantization noise ratio in dB; infinite where nothing differs."""
    signal, noise = (np.sum(np.square(x, dtype=np.float64)) for x in (reference, reference - found))
    return float(10 * np.log10(signal / noise)) if noise else float("inf")


@dataclass
class Bench:
    """What every file is made from and judged by, and the rows so far."""

    model: keras.Model
    calibration: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    folder: Path
    rows: list[Row] = field(default_factory=list)
    steps: list[tuple[str, str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reference = np.asarray(self.model(self.images))
        self.judge("float", "", "Keras", self.reference)

    def attempt(self, maker: str, name: str, make: Callable[..., list[Path]], *setting) -> None:
        """Make files and judge them; where that fails, say why, and go on."""
        try:
            with native_messages_held():
                paths = make(*setting)
            print(f"{maker} {name}")
            for path in paths:
                self.run(maker, name, path)
        except Exception as error:  # quantizers and runtimes raise anything
            print(f"{maker} {name} left out: {type(error).__name__}: {error}", flush=True)

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[None]:
        """Notes the CPU seconds of what is done inside, of all threads."""
        start = time.process_time()
        yield
        self.steps.append((name, what, time.process_time() - start))

    def run(self, maker: str, name: str, path: Path) -> None:
        for runtime, (suffix, load) in RUNTIMES.items():
            if path.suffix == suffix:
                prepare, run = load(path, threads=1)
                logits = np.stack([run(prepare(image[None])) for image in self.images])
                self.judge(maker, name, runtime, logits, path)

    def judge(self, maker: str, name: str, runtime: str, logits: np.ndarray, path=None) -> None:
        top, both = logits.argmax(-1), (self.reference, logits)
        figures = {
            "SQNR dB": sqnr(*both),
            "centred dB": sqnr(*(some - some.mean(-1, keepdims=True) for some in both)),
            "agree %": 100 * np.mean(top == self.reference.argmax(-1)),
            "right %": 100 * np.mean(top == self.labels),
            "MB": path.stat().st_size / 1e6 if path else 0.0,
        }
        self.rows.append(Row(maker, name, runtime, path, figures))
        text = ", ".join(f"{key} {figure:.2f}" for key, figure in figures.items())
        print(f"  {runtime}: {text}", flush=True)

    def float_files(self) -> list[Path]:
        paths = [self.folder / "float.tflite", self.folder / "float.onnx"]
        kb.export_model(
            self.model, self.folder, ("tflite", "onnx"), name="float", verify=self.images
        )
        # All shapes are static: symbolic inference, which needs sympy, has nothing to add.
        ort.quant_pre_process(paths[1], self.folder / "prepared.onnx", skip_symbolic_shape=True)
        return paths

    def tflite_ptq(self, ends: tf.DType) -> list[Path]:
        # `fold` first changes no figure: the converter folds batch norm into the same weights.
        saved, path = self.folder / "saved_model", self.folder / f"ptq_{ends.name}.tflite"
        static = keras.InputSpec(shape=(1, *PREPROCESSING.input_shape), dtype="float32")
        name = f"official PTQ {ends.name} I/O"
        with self.step(name, "SavedModel"):
            self.model.export(saved, verbose=False, input_signature=[static])
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in self.calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = ends
        with self.step(name, "calibrate and convert"):
            path.write_bytes(converter.convert())
        return [path]

    def onnx_static(self, start: str, activations: str, method: str) -> list[Path]:
        path = self.folder / f"{start}_{activations}_{method}.onnx"
        feeds = iter([{"image": image[None]} for image in self.calibration])
        ort.quantize_static(
            self.folder / f"{start}.onnx",
            path,
            SimpleNamespace(get_next=partial(next, feeds, None)),
            per_channel=True,
            weight_type=ort.QuantType.QInt8,
            activation_type=ort.QuantType[activations],
            calibrate_method=ort.CalibrationMethod[method],
        )
        return [path]

    def ours(self, name: str) -> list[Path]:
        """Quantize with one row of `OURS`; also judges the quantized Keras model itself."""
        with self.step(f"ours {name}", "quantize"):
            quantized = kb.quantize(self.model, self.calibration, **OURS[name])
        self.judge("ours", name, "Keras (int8)", np.asarray(quantized(self.images)))
        paths = []
        for form in ("tflite_int8", "onnx_int8"):
            with self.step(f"ours {name}", f"write and verify {form}"):
                report = kb.export_model(
                    quantized, self.folder, [form], name=name, verify=self.images
                )
            paths.append(report[form].path)
        return paths

    def time_in_turns(self, rounds: int, threads: int) -> None:
        """Fill in the median CPU times: in each round every file has its turn."""
        rows = [row for row in self.rows if row.path]
        opened = [RUNTIMES[row.runtime][1](row.path, threads=threads) for row in rows]
        calls = [partial(run, prepare(self.images[:1])) for prepare, run in opened]
        seconds: list[list[float]] = [[] for _ in rows]
        for _ in range(rounds):
            for call, times in zip(calls, seconds, strict=True):
                times += timeit.repeat(
                    call, timer=time.process_time, number=1, repeat=1 + TIMED_RUNS
                )[1:]
        for row, times in zip(rows, seconds, strict=True):
            row.cpu_ms[threads] = 1e3 * statistics.median(times)

    def best_official(self, *runtimes: str) -> float:
        peers = [row for row in self.rows if row.maker == "official" and row.runtime in runtimes]
        return max((row.figures["SQNR dB"] for row in peers), default=np.nan)

    def table(self) -> Table:
        """All rows; gains are dB above the best official row, of the same runtime and of any."""
        shown = Table(title="int8 MobileNetV2 against the float Keras model")
        times = [f"CPU ms, {threads} thr." for threads in THREADS]
        for title in ("quantizer", "runtime"):
            shown.add_column(title, no_wrap=True)
        for title in ("gain, same runtime", "gain, any", *self.rows[0].figures, *times):
            shown.add_column(title, justify="right")
        for row in self.rows:
            bests = [self.best_official(row.runtime), self.best_official(*RUNTIMES)]
            gains = [np.nan if row.maker == "float" else row.figures["SQNR dB"] - x for x in bests]
            numbers = [*gains, *row.figures.values(), *row.cpu_ms.values()]
            cells = ("" if np.isnan(x) else f"{x:.2f}" for x in numbers)
            shown.add_row(f"{row.maker} {row.name}", row.runtime, *cells)
        return shown

    def step_table(self) -> Table:
        """The CPU seconds of each step."""
        shown = Table(title=f"CPU seconds, {len(self.calibration)} images")
        for title in ("quantizer", "step"):
            shown.add_column(title, no_wrap=True)
        shown.add_column("CPU s", justify="right")
        for name, what, seconds in self.steps:
            shown.add_row(name, what, f"{seconds:.1f}")
        return shown

    def write(self, path: Path) -> None:
        packages = ("tensorflow", "keras", "ai-edge-litert", "onnxruntime", "tf2onnx")
        about = {"images": len(self.images), "vnni": VNNI, "versions": versions(*packages)}
        rows = [asdict(row) for row in self.rows if row.runtime != "Keras"]  # infinity is no JSON
        path.write_text(
            json.dumps(
                {**about, "steps": self.steps, "rows": rows}, indent=1, default=lambda p: p.name
            )
        )

    def draw(self, path: Path) -> None:
        """The picture of the documentation: how many photos are right, over the time of one."""
        discs = [
            charts.Disc(
                f"{NAMES.get(row.maker, row.maker)} {row.name}".strip() + f", {row.runtime}",
                row.path.suffix.removeprefix("."),
                row.cpu_ms[1],
                row.figures["right %"] / 100,
                1e6 * row.figures["MB"],
            )
            for row in self.rows
            if row.path and row.runtime in ("XNNPACK", "ONNX Runtime")
        ]
        chart = charts.accuracy_over_latency(
            discs, "top-1 accuracy", "MobileNetV2", len(self.images)
        )
        chart.save(path)


def photos(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    with open(folder / "labels.csv", newline="") as lines:
        listed = list(csv.DictReader(lines))
    images = np.stack([PREPROCESSING(folder / one["file"]) for one in listed])
    return images, np.array([int(one["class_index"]) for one in listed])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--picture", type=Path, help="draw accuracy over time into this PNG file")
    parser.add_argument("--peers-only", action="store_true")
    parser.add_argument("--ours", nargs="+", choices=OURS, default=OURS, metavar="NAME")
    parser.add_argument("--swap", action="store_true", help="swap the two halves")
    parser.add_argument(
        "--all", action="store_true", help="calibrate and verify on all images, for the seconds"
    )
    parser.add_argument("--rounds", type=int, default=10, help="of timing; 0 for none")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)

    data = Path(os.environ["KERAS_BOTTLENECK_DATA"])
    model = keras.applications.MobileNetV2(weights=None, classifier_activation=None)
    model.load_weights(data / "mobilenet_v2_1.0_224_imagenet.weights.h5")
    images, labels = photos(data / "imagenet_val100")
    first, second = slice(arguments.swap, None, 2), slice(not arguments.swap, None, 2)
    if arguments.all:
        first = second = slice(None)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(model, images[first], images[second], labels[second], Path(scratch))
        bench.attempt("float", "", bench.float_files)
        for ends in (tf.float32, tf.int8):
            bench.attempt("official", f"PTQ {ends.name} I/O", bench.tflite_ptq, ends)
        for setting in STATIC:
            bench.attempt("official", " ".join(setting), bench.onnx_static, *setting)
        for name in () if arguments.peers_only else arguments.ours:
            bench.attempt("ours", name, bench.ours, name)
        for threads in THREADS if arguments.rounds else ():
            bench.time_in_turns(arguments.rounds, threads)
        for table in (bench.table(), bench.step_table()):
            Console(width=150).print(table)
        if arguments.output:
            bench.write(arguments.output)
        if arguments.picture:
            bench.draw(arguments.picture)


if __name__ == "__main__":
    main()
