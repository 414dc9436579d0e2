"""`Run`: the folder of a training, and which file of it holds what."""

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from keras_bottleneck import checks
from keras_bottleneck.files import replace_file
from keras_bottleneck.runtime.artifact import BEST, CONFIG, is_run
from keras_bottleneck.tasks import CLASSIFICATION
from keras_bottleneck.version import versions

# A run is read where Keras is not installed, too.
if TYPE_CHECKING:
    from keras_bottleneck.data import Folder, ImageData
    from keras_bottleneck.training import Checkpoints, Recipe

# Beside CONFIG and BEST.
METRICS, LAST, CARD, CHECKPOINTS = "metrics.csv", "last.keras", "README.md", "checkpoints"
# What a lengthened training begins with, until it is done.
START = "start.keras"
CURVES, AUGMENTED = "curves.png", "augmented.png"
# Environment variables that the last bits of a network depend on.
VARIABLES = ("TF_ENABLE_ONEDNN_OPTS",)
FORMAT = 1

Row = dict[str, float]
Kind = TypeVar("Kind", bound="Recipe")


@dataclass(frozen=True)
class Run:
    """The folder of a training.

    Its files are written beside and renamed, so that each is whole at any time: `config.json` (all
    that is needed to repeat the training), `augmented.png` (the first batch, as the network sees
    it), `metrics.csv` (a row for each epoch), `best.keras` and `last.keras` (with their labels and
    preprocessing), and, when the training is done, `curves.png` and `README.md`. Until then,
    `checkpoints` holds what `resume` goes on from.

    Attributes:
        path: The folder.
        config: What config.json holds: "verb", "settings" (the arguments of the call), "classes",
            "task", "preprocessing", "images" (how many of them), "versions" and "variables" (those
            of the environment that its numbers depend on; null where one was not set); and
            "lengthened", one entry for each time that `resume` was asked for more epochs.

    Example:
        >>> run = Run.open("run")  # doctest: +SKIP
        >>> run.best_row()["val_accuracy"]  # doctest: +SKIP
        0.93
    """

    path: Path
    config: Mapping[str, Any]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Run":
        """The run in the folder `path`.

        Raises:
            ValueError: If there is none.
        """
        if not is_run(path):
            accepted = f"the folder of a training, with its {CONFIG}"
            raise checks.reject("run", path if path is None else str(path), accepted)
        config = json.loads((Path(path) / CONFIG).read_text())
        if config.get("format") != FORMAT:
            raise checks.reject("run", str(path), f"one with a {CONFIG} that this version writes")
        return cls(Path(path), config)

    @classmethod
    def planned(
        cls, directory: Path, verb: str, settings: Mapping[str, Any], images: "ImageData"
    ) -> "Run":
        """A new run in `directory`, of which nothing is there yet: see `begin`."""
        config = {
            "format": FORMAT,
            "verb": verb,
            "settings": dict(settings),
            "classes": list(images.class_names),
            "task": images.task,
            "preprocessing": images.preprocessing.to_dict(),
            "images": {
                "train": images.train_size,
                "validation": images.validation_size,
                "skipped": len(images.skipped),
                **({"test": images.test_size} if images.test_size else {}),
            },
            "versions": versions("keras", "tensorflow", "numpy"),
            "variables": {name: os.environ.get(name) for name in VARIABLES},
        }
        return cls(directory, config)

    def begin(self) -> None:
        """Make the folder, and write config.json."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.write(CONFIG, json.dumps(dict(self.config), indent=1))

    @property
    def best(self) -> Path:
        """The network of the epoch that was validated best."""
        return self.path / BEST

    @property
    def start(self) -> Path:
        """The network that a lengthened training has begun with; gone when it is done."""
        return self.path / START

    @property
    def last(self) -> Path:
        """The network of the last epoch that was finished, with the state of its optimizer."""
        return self.path / LAST

    @property
    def checkpoints(self) -> "Checkpoints":
        """What a training that was interrupted goes on from; empty when it is done."""
        from keras_bottleneck.training import Checkpoints

        return Checkpoints(self.path / CHECKPOINTS)

    @property
    def finished(self) -> bool:
        """Whether the training has come to its end, with all epochs that it was lengthened by."""
        return self.part_finished and all(part["after"] is not None for part in self.lengthened)

    @property
    def part_finished(self) -> bool:
        """Whether what has been begun of the training has come to its end."""
        part, working = self.part, (self.path / CHECKPOINTS).exists() or self.start.exists()
        if not (self.path / CARD).is_file() or working:
            return False
        return part is None or len(self.rows()) > part["after"]

    @property
    def lengthened(self) -> list[dict[str, Any]]:
        """The parts that were added to the training: "epochs", the peak "learning_rate" of these.

        Their "after" is how many epochs had been trained when they began; None before.
        """
        return list(self.config.get("lengthened", ()))

    @property
    def part(self) -> dict[str, Any] | None:
        """Which of `lengthened` has begun last; None for none."""
        return next((part for part in reversed(self.lengthened) if part["after"] is not None), None)

    def with_parts(self, parts: Sequence[Mapping[str, Any]]) -> "Run":
        """This run with other `lengthened` parts, which config.json then tells."""
        changed = Run(self.path, {**self.config, "lengthened": [dict(part) for part in parts]})
        changed.write(CONFIG, json.dumps(changed.config, indent=1))
        return changed

    @property
    def data(self) -> Path:
        """The path of the folder of images that it was trained on."""
        return Path(self.config["settings"]["data"])

    @property
    def folder(self) -> "Folder":
        """That folder, with what else says which images there are."""
        from keras_bottleneck.data import Folder

        settings = self.config["settings"]
        validation, table = settings.get("validation"), settings.get("labels")
        return Folder(self.data, table, validation, self.task)

    @property
    def task(self) -> str:
        """The task that it was trained for."""
        return str(self.config.get("task", CLASSIFICATION))

    @property
    def seed(self) -> int:
        """The seed that split the images."""
        return int(self.config["settings"]["seed"] or 0)

    @property
    def variables(self) -> Mapping[str, str | None]:
        """The environment variables that it began with; empty where config.json has none."""
        return self.config.get("variables", {})

    @property
    def epochs(self) -> int:
        """How many epochs were asked for, with those that it was lengthened by.

        Of `finetune`, those of the last phase.
        """
        added = sum(part["epochs"] for part in self.lengthened)
        return int(self.config["settings"]["epochs"]) + int(added)

    def rows(self) -> list[Row]:
        """The rows of metrics.csv; none before the end of the first epoch.

        Raises:
            ValueError: If the file is damaged.
        """
        return read_metrics(self.path)

    def best_row(self, rows: Sequence[Row] | None = None) -> Row | None:
        """The row of the best epoch, by `monitor`; None before the first one."""
        monitor = self.config["settings"]["monitor"]
        sign = -1.0 if monitor == "val_accuracy" else 1.0
        metrics = self.rows() if rows is None else rows
        # Where the training loss was lost, weights from before that epoch were validated.
        finite = [
            row for row in metrics if math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])
        ]
        return min(finite, key=lambda row: sign * row[monitor], default=None)

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Replace metrics.csv."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "epoch": int(row["epoch"])} for row in rows)
        self.write(METRICS, text.getvalue())

    def write(self, name: str, content: str | bytes) -> None:
        """Replace the file `name` in one step."""
        data = content if isinstance(content, bytes) else content.encode()
        replace_file(self.path / name, data)


def read_metrics(folder: Path, growing: bool = False) -> list[Row]:
    """The rows of the metrics.csv in `folder`; none without the file.

    Args:
        folder: Of a run, or of any training that Keras's `CSVLogger` wrote it for.
        growing: Whether it may be written at this moment: what a row lacks is NaN then.

    Raises:
        ValueError: If the file is damaged.
    """
    path = folder / METRICS
    if not path.is_file():
        return []
    try:
        with path.open(newline="") as file:
            return [
                {name: float("nan" if growing and not text else text) for name, text in row.items()}
                for row in csv.DictReader(file)
            ]
    except (ValueError, TypeError, AttributeError, OSError):
        accepted = f"a run folder with a whole {METRICS}"
        raise checks.reject("run", str(folder), accepted) from None


def columns(rows: Sequence[Row]) -> dict[str, list[float]]:
    """The values of each metric over the epochs."""
    names = [name for name in (rows[0] if rows else ()) if name != "epoch"]
    return {name: [row[name] for row in rows] for name in names}


def checked_new(directory: Any, name: str = "directory") -> Path:
    """`directory`, if a run can be made there, before hours of work go into it.

    Args:
        directory: A path.
        name: What the caller calls this argument.

    Raises:
        ValueError: If it cannot be written to, or holds a run already.
    """
    path = checks.folder_to_write(name, directory)
    if (path / CONFIG).exists():
        accepted = f"a folder without a {CONFIG}: the run that it is of would be overwritten"
        raise checks.reject(name, str(path), accepted)
    return path


def absolute(path: Any) -> str | None:
    """A path as config.json keeps it; None for none."""
    return None if path is None else str(Path(path).absolute())


def checked_names(augment: Any) -> list[str]:
    """The names of augmentations, which config.json can hold.

    Raises:
        ValueError: If one of them is no name.
    """
    names = [augment] if isinstance(augment, str) else list(augment)
    if not all(isinstance(name, str) for name in names):
        raise checks.reject("augment", augment, "names of augmentations, which can be written down")
    return names


def settings_of(recipe: "Recipe", **others: Any) -> dict[str, Any]:
    """The arguments of a training as JSON can hold them."""
    return {**others, **asdict(recipe)}


def recipe_of(run: Run, kind: type[Kind]) -> Kind:
    """The recipe among the settings of a run."""
    settings = run.config["settings"]
    return kind(
        **{field.name: settings[field.name] for field in fields(kind) if field.name in settings}
    )


def is_deterministic(run: Run) -> bool:
    """Whether the training computes deterministically, as all did before there was a choice."""
    return bool(run.config["settings"].get("deterministic", True))
