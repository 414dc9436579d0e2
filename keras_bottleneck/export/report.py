"""What an export has made and what running it has shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_bottleneck.console import Printable
from keras_bottleneck.export.verify import Comparison


@dataclass(frozen=True)
class Artifact:
    """One written and verified file (or SavedModel folder).

    `size` is in bytes; the fields of `comparison` are explained at `verify.Comparison`, and
    `needs_vnni` at `Metadata`.
    """

    format: str
    path: Path
    size: int
    sha256: str
    comparison: Comparison
    needs_vnni: bool = False


@dataclass(frozen=True)
class ExportReport(Printable):
    """The result of `export_model`; printing it shows a table.

    Attributes:
        name: What the files are called.
        model_name: The model's own name, of which `name` may have been derived.
        artifacts: One `Artifact` for each format, in the order asked for.
        samples: Number of samples that every artifact was run on.
        real_samples: Whether they came from the user, or are noise.
        keras_accuracy: Top-1 accuracy of the Keras model on them, where labels are known.

    Example:
        >>> report["tflite"].path  # doctest: +SKIP
        PosixPath('exported/resnet50.tflite')
    """

    name: str
    model_name: str
    artifacts: tuple[Artifact, ...]
    samples: int
    real_samples: bool
    keras_accuracy: float | None

    def __getitem__(self, format: str) -> Artifact:
        """The artifact of `format`, such as "tflite"."""
        by_format = {artifact.format: artifact for artifact in self.artifacts}
        if format not in by_format:
            raise KeyError(f"{format!r}: this report has {', '.join(by_format)}")
        return by_format[format]

    def __rich__(self) -> Any:
        from rich.markup import escape
        from rich.table import Table

        kind = "samples" if self.real_samples else "noise samples"
        own = "" if self.name == self.model_name else f" (model {self.model_name!r})"
        title = f"{self.name}{own}: artifacts compared with Keras on {self.samples} {kind}"
        table = Table(title=escape(title))
        table.add_column("file", overflow="fold")
        for heading in ("size", "accuracy", "agreement", "max error", "latency"):
            table.add_column(heading, justify="right")
        table.add_row("(Keras model)", "", _percent(self.keras_accuracy), "", "", "")
        for artifact in self.artifacts:
            comparison = artifact.comparison
            table.add_row(
                artifact.path.name,
                f"{artifact.size / 1e6:.2f} MB",
                _percent(comparison.accuracy),
                _percent(comparison.agreement),
                f"{comparison.error:.1e}",
                f"{comparison.latency_ms:.2f} ms",
            )
        return table


def _percent(part: float | None) -> str:
    return "" if part is None else f"{part:.1%}"
