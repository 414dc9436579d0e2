"""The model under test, opened from a Keras model, a file or a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_bottleneck import checks, keras_private
from keras_bottleneck.export import load_model, save_model
from keras_bottleneck.export.inference import float32_model
from keras_bottleneck.export.names import file_name
from keras_bottleneck.graph.endings import output_name
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.quantization import is_quantized
from keras_bottleneck.runs.folder import BEST
from keras_bottleneck.runtime import Metadata, metadata

OURS = ("keras", "keras_bottleneck", "tensorflow")


@dataclass(frozen=True)
class Subject:
    """A model, and the .keras file that other processes read it from.

    Attributes:
        model: In float32.
        carried: Labels and preprocessing.
        path: The file.
        home: Folder that results go to by default; None where the model has no file of its own.
    """

    model: keras.Model
    carried: Metadata | None
    path: Path
    home: Path | None

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of its classes, where its file has them."""
        return self.carried.labels if self.carried else None

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How images become its input, where its file says so."""
        return self.carried.preprocessing if self.carried else None

    @property
    def quantized(self) -> bool:
        """Whether it comes from `quantize`."""
        return is_quantized(self.model)

    @property
    def output_name(self) -> str:
        """What its outputs are: "probabilities", "logits" or "features"."""
        return output_name(self.model)

    @property
    def classes(self) -> int | None:
        """How many classes it distinguishes; None if it has no classes."""
        if self.output_name == "features":
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
        model: A Keras model, the path of a .keras file, or a run folder with best.keras.
        scratch: Where a Keras model is saved.

    Raises:
        ValueError: If it is none of them, or its layers are defined where no other process can
            import them.
    """
    accepted = f"a Keras model, a .keras file, or a run folder with {BEST}"
    if isinstance(model, keras.Model):
        path, home = save_model(model, scratch / "source.keras"), None
        network, carried = model, metadata.read(path)
    elif isinstance(model, (str, Path)):
        path = Path(model) / BEST if Path(model).is_dir() else Path(model)
        if path.suffix != ".keras" or not path.is_file():
            raise checks.reject("model", str(model), accepted)
        home = path.parent
        try:
            network, carried = load_model(path)
        except ValueError as error:
            raise checks.reject("model", str(model), f"{accepted} ({error})") from None
    else:
        raise checks.reject("model", model, accepted)
    subject = Subject(float32_model(network), carried, path, home)
    if "__main__" in subject.modules:
        raise ValueError(
            "`model` must be made of layers that another process can import from a module. "
            f"Received: model={network.name!r} with layers defined in the running script"
        )
    return subject
