"""Where the figures of a run go beside metrics.csv: one row for each tool."""

import importlib.util
import json
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_bottleneck.checks import first_line, one_of, reject
from keras_bottleneck.runs.folder import AUGMENTED, BEST, CARD, CURVES, Run

TENSORBOARD, MLFLOW = "tensorboard", "mlflow.json"
EXPERIMENT = "keras-bottleneck"
# Of the longest value that MLflow takes as a parameter.
LONGEST = 6000


@dataclass(frozen=True)
class Log:
    """A tool that shows trainings.

    Attributes:
        package: What it is imported as.
        install: What pip installs it by.
        make: From the run to a callback; where it has a `close()`, that is called when the run is
            finished, with all of its files.
    """

    package: str
    install: str
    make: Callable[[Run], keras.callbacks.Callback]


def checked(log: Any) -> list[str]:
    """`log` as the names of tools that are installed.

    Raises:
        ValueError: If it names others.
        ImportError: If the package of one is missing.
    """
    if isinstance(log, (str, bytes)) or not isinstance(log, Collection):
        raise reject("log", log, f"a sequence of names out of {tuple(LOGS)}")
    names = [one_of("log", name, LOGS) for name in dict.fromkeys(log)]
    for name in names:
        row = LOGS[name]
        if importlib.util.find_spec(row.package) is None:
            raise ImportError(f"`log={name!r}` needs `{row.package}`: pip install {row.install}")
    return names


def of_run(run: Run) -> Sequence[keras.callbacks.Callback]:
    """The callbacks of the tools that a run was begun with, which go on where they were."""
    return [LOGS[name].make(run) for name in checked(run.config["settings"].get("log") or ())]


def close(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Hand the files of a finished run to those tools that take files."""
    for callback in callbacks:
        if hasattr(callback, "close"):
            callback.close()


def _tensorboard(run: Run) -> keras.callbacks.Callback:
    # Each epoch has a number, so that what a run writes after it was taken up follows.
    return keras.callbacks.TensorBoard(
        str(run.path / TENSORBOARD), write_graph=False, profile_batch=0
    )


class MLflow(keras.callbacks.Callback):
    """Settings, metrics of each epoch and files of a run, as a run of MLflow.

    It goes where `MLFLOW_TRACKING_URI` says, into the experiment that `MLFLOW_EXPERIMENT_NAME`
    says, by default "keras-bottleneck". The id that MLflow has given it is in mlflow.json of the
    folder: a training that is taken up goes on there.

    Args:
        run: What is logged.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        from mlflow import MlflowClient

        self.run, self.id = run, ""
        try:
            self.client = MlflowClient()
        except Exception as error:  # of its own, or of the store that the URI names
            accepted = f"without 'mlflow', which cannot open its store ({first_line(error)})"
            raise reject("log", "mlflow", accepted) from None

    def on_train_begin(self, logs: Any = None) -> None:
        if not self.id:
            self.id = self._known() or self._begun()
            self.client.update_run(self.id, "RUNNING")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, value in (logs or {}).items():
            self.client.log_metric(self.id, name, float(value), step=epoch + 1)

    def close(self) -> None:
        """Add the files, and end the run."""
        self.id = self.id or self._known() or self._begun()
        for name in (BEST, CARD, CURVES, AUGMENTED):
            if (self.run.path / name).is_file():
                self.client.log_artifact(self.id, str(self.run.path / name))
        self.client.set_terminated(self.id, "FINISHED")

    def _known(self) -> str:
        path = self.run.path / MLFLOW
        return str(json.loads(path.read_text())["run_id"]) if path.is_file() else ""

    def _begun(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        experiment = self.client.get_experiment_by_name(name)
        place = experiment.experiment_id if experiment else self.client.create_experiment(name)
        found = self.client.create_run(place, run_name=self.run.path.name)
        for key, value in self.run.config["settings"].items():
            self.client.log_param(found.info.run_id, key, str(value)[:LONGEST])
        self.run.write(MLFLOW, json.dumps({"run_id": found.info.run_id}))
        return str(found.info.run_id)


LOGS = {
    "tensorboard": Log("tensorboard", "tensorboard", _tensorboard),
    "mlflow": Log("mlflow", "'keras-bottleneck[mlflow]'", MLflow),
}
