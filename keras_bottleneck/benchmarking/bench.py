"""The cells of one model on one set of images: measured, or taken from an earlier benchmark."""

import os
import platform
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_bottleneck.benchmarking.cells import Cell
from keras_bottleneck.benchmarking.inputs import Inputs
from keras_bottleneck.benchmarking.rows import QUANTIZED_ROW, ROWS
from keras_bottleneck.benchmarking.store import Store, digest, fingerprint, is_whole
from keras_bottleneck.benchmarking.subject import Subject
from keras_bottleneck.evaluation import Answers, Evaluation
from keras_bottleneck.evaluation.metrics import measured
from keras_bottleneck.export.formats import Needs
from keras_bottleneck.quantization.observation import spread
from keras_bottleneck.runtime import manifest, processes
from keras_bottleneck.runtime.processes import JobError
from keras_bottleneck.version import versions

MAKING = "keras_bottleneck.benchmarking.make_artifact"
MEASURING = "keras_bottleneck.runtime.measuring"
# The packages whose versions decide the bytes of an artifact, beside the model.
MAKERS = ("tensorflow", "keras", "tf2onnx", "onnx", "numpy")
# Exported files are compared with Keras on a few images before they are measured on all.
VERIFIED = 32
# The rows of `evaluation.METRICS` that a cell has.
MEASURED = ("top1", "top5", "error", "agreement")


def calibrated(row: str, quantized: bool) -> bool:
    """Whether `row` needs ranges that have yet to be measured; a `quantized` model has its own."""
    return not quantized and ROWS[row].needs is not Needs.FLOAT


def machine() -> str:
    """The machine that this process runs on, in words."""
    return f"{platform.system()} on {platform.machine()}, {os.cpu_count()} CPUs"


class Bench:
    """The cells of one model on one set of images.

    Args:
        tested: The model.
        samples: The images.
        store: Where results are kept.
        scratch: Folder for what the processes read and write.
        timeout: Seconds that a process may take.
    """

    def __init__(
        self,
        tested: Subject,
        samples: Inputs,
        store: Store,
        scratch: Path,
        timeout: float,
    ) -> None:
        self.tested, self.samples, self.store = tested, samples, store
        self.scratch, self.timeout = scratch, timeout
        self.name = tested.file_name
        self._made: dict[str, tuple[Path | None, str]] = {}

    def cell(self, row: str, threads: int) -> Cell:
        """The artifact of `row`, made, run and compared with the Keras model."""
        blank = Cell(row, ROWS[row].format, ROWS[row].precision, threads)
        artifact, problem = self._artifact(row)
        if artifact is None:
            return replace(blank, status=problem)
        try:
            return replace(blank, **self._figures(row, artifact, threads))
        except JobError as error:
            return replace(blank, status=str(error))

    def _artifact(self, row: str) -> tuple[Path | None, str]:
        """The artifact of `row`, made once; or None and the sentence that says why not."""
        if row not in self._made:
            try:
                self._made[row] = (self._kept_or_made(row), "")
            except JobError as error:
                self._made[row] = (None, str(error))
        return self._made[row]

    def _kept_or_made(self, row: str) -> Path:
        key, slot = self._artifact_key(row), f"{self.name}/{row}/artifact.json"
        folder = self.store.folder / self.name / row
        found = self.store.find(slot, key)
        if found is None or not ("problem" in found or is_whole(folder, found)):
            found = self._make(row, folder)
            if "problem" not in found:
                found["sha256"] = manifest.sha256_of(folder / found["file"])
            self.store.keep(slot, key, found)
        if "problem" in found:
            raise JobError(found["problem"])
        return folder / found["file"]

    def _make(self, row: str, folder: Path) -> dict[str, Any]:
        source: Path | None = self.tested.path
        measures = calibrated(row, self.tested.quantized)
        if measures and ROWS[row].needs is Needs.QUANTIZED and row != QUANTIZED_ROW:
            source, problem = self._artifact(QUANTIZED_ROW)
            if source is None:
                raise JobError(problem)
        job = {
            "row": row,
            "name": self.name,
            "source": str(source),
            "modules": self.tested.modules,
            "directory": str(folder),
            "verify": str(self._verify),
            "calibration": str(self._calibration) if measures else None,
        }
        return processes.run(MAKING, job, self.scratch, self.timeout, self._log(folder))

    def _figures(self, row: str, artifact: Path, threads: int) -> dict[str, Any]:
        slot = f"{self.name}/{row}/threads-{threads}.json"
        key = digest(
            self._artifact_key(row),
            self._data_key,
            threads,
            versions(*ROWS[row].packages),
            machine(),
            platform.node(),
        )
        found = self.store.find(slot, key)
        if found is not None:
            return found
        outputs = self.scratch / "outputs.npy"
        job = {
            "artifact": str(artifact),
            "threads": threads,
            "inputs": str(self._inputs),
            "outputs": str(outputs),
        }
        needs_keras = artifact.suffix == ".keras"
        log = self._log(artifact.parent)
        figures = processes.run(MEASURING, job, self.scratch, self.timeout, log, needs_keras)
        if "problem" in figures:
            raise JobError(figures["problem"])
        figures["size"] = manifest.size_of(artifact)
        answers = self._reference.like_these(np.load(outputs))
        evaluation = Evaluation(answers, self.samples.labels, self._reference)
        figures |= measured(evaluation, MEASURED)
        self.store.keep(slot, key, figures)
        return figures

    def _log(self, folder: Path) -> Path | None:
        """Where to keep what a crashed process printed, if the folder outlives the benchmark."""
        return None if folder.is_relative_to(self.scratch) else folder / "log.txt"

    def _artifact_key(self, row: str) -> str:
        ranges = self._calibration_key if calibrated(row, self.tested.quantized) else None
        size = self.samples.images.shape[1:]
        return digest(row, self._model_key, ranges, size, versions(*MAKERS))

    @cached_property
    def _model_key(self) -> str:
        tested = self.tested
        return fingerprint(tested.model, tested.labels, tested.preprocessing, tested.task)

    @cached_property
    def _data_key(self) -> str:
        labels = self.samples.labels
        return digest(self.samples.images, *([] if labels is None else [labels]))

    @cached_property
    def _calibration_key(self) -> str:
        return digest(self.samples.calibration)

    @cached_property
    def _reference(self) -> Answers:
        outputs = self.tested.run(self.samples.images)
        return Answers(outputs, self.tested.output_name, self.tested.task)

    @cached_property
    def _inputs(self) -> Path:
        return self._saved("inputs", self.samples.images)

    @cached_property
    def _calibration(self) -> Path:
        return self._saved("calibration", self.samples.calibration)

    def _saved(self, name: str, array: Any) -> Path:
        path = self.scratch / f"{name}.npy"
        np.save(path, array)
        return path

    @cached_property
    def _verify(self) -> Path:
        path = self.scratch / "verify.npz"
        images, labels = self.samples.images, self.samples.labels
        if labels is None:
            np.savez(path, inputs=spread(images, VERIFIED))
        else:
            np.savez(path, inputs=spread(images, VERIFIED), labels=spread(labels, VERIFIED))
        return path
