"""The model under test, opened from a Keras model, a file or a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_bottleneck import keras_private, trained_model
from keras_bottleneck.export.inference import float32_model
from keras_bottleneck.export.names import file_name
from keras_bottleneck.quantization import is_quantized
from keras_bottleneck.tasks import CLASSIFICATION
from keras_bottleneck.trained_model import TrainedModel, save_model

OURS = ("keras", "keras_bottleneck", "tensorflow")


@dataclass(frozen=True)
class Subject(TrainedModel):
    """A trained model in float32, and the .keras file that other processes read it from.

    Attributes:
        path: The file.
        home: Folder that results go to by default; None where the model has no file of its own.
    """

    path: Path
    home: Path | None

    @property
    def quantized(self) -> bool:
        """Whether it comes from `quantize`."""
        return is_quantized(self.model)

    @property
    def classes(self) -> int | None:
        """How many classes it distinguishes; None if it has no classes."""
        if self.output_name == "features" or self.task != CLASSIFICATION:
            return None
        # One column is the probability or logit of the second of two classes.
        return max(2, int(self.model.outputs[0].shape[-1]))

    @property
    def file_name(self) -> str:
        """Its name, with the characters that file names cannot have replaced."""
        return file_name(self.model.name)

    @property
    def modules(self) -> list[str]:
        """The modules, other than those of Keras and this package, that define its layers."""
        modules = {type(layer).__module__ for layer in keras_private.sublayers(self.model)}
        return sorted(name for name in modules if name.partition(".")[0] not in OURS)


def opened(model: Any, scratch: Path) -> Subject:
    """The model that `model` is, or that it names.

    Args:
        model: As for `trained_model.opened`.
        scratch: Where a Keras model is saved.

    Raises:
        ValueError: If it is nothing of the kind, or its layers are defined where no other process
            can import them.
    """
    trained = trained_model.opened(model, "model")
    path = trained.path or save_model(model, scratch / "source.keras")
    home = trained.path and path.parent
    network = float32_model(trained.model)
    subject = Subject(network, path, trained.labels, trained.preprocessing, trained.task, home)
    if "__main__" in subject.modules:
        raise ValueError(
            "`model` must be made of layers that another process can import from a module. "
            f"Received: model={network.name!r} with layers defined in the running script"
        )
    return subject
