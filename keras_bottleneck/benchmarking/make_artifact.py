"""The process that makes one artifact, because converters leak memory, and some crash."""

import importlib
import json
from pathlib import Path

import numpy as np

from keras_bottleneck import trained_model
from keras_bottleneck.benchmarking.rows import ROWS, Order
from keras_bottleneck.export import ExportError


def main(job_path: str) -> None:
    """Make the artifact that the JSON file at `job_path` describes.

    Of the job, "source" is the .keras file to start from, "modules" are those that define its
    layers, "verify" and "calibration" paths of .npz and .npy files, and "result" is where
    `file`, the artifact's name, goes as JSON; or `problem`, a sentence.
    """
    job = json.loads(Path(job_path).read_text())
    try:
        for module in job["modules"]:
            importlib.import_module(module)
        source = trained_model.opened(job["source"])
        verify = np.load(job["verify"])
        order = Order(
            row=job["row"],
            name=job["name"],
            model=source.model,
            labels=source.labels,
            preprocessing=source.preprocessing,
            task=source.task,
            directory=Path(job["directory"]),
            verify=(verify["inputs"], verify.get("labels")),
            calibration=np.load(job["calibration"]) if job["calibration"] else None,
        )
        result = {"file": ROWS[order.row].make(order).name}
    except (ValueError, ImportError, ExportError) as error:
        result = {"problem": str(error)}
    Path(job["result"]).write_text(json.dumps(result))
