"""What the verbs are given: a run or a file, and the images of the one or for the other."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_bottleneck import checks
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.runs import Run, is_run

# A source is looked at where Keras is not installed, too.
if TYPE_CHECKING:
    import keras

    from keras_bottleneck.data import ImageData


class Source(NamedTuple):
    """An artifact and the run that it is of, if it is of any.

    Attributes:
        path: A file, or the folder of a SavedModel.
        run: The run in whose folder it lies.
    """

    path: Path
    run: Run | None

    def data(self, given: Path | None) -> Path | None:
        """The folder of images that the user has given, else that of the run."""
        return self.run.data if given is None and self.run else given

    def folder(self, given: Path | None) -> Path:
        """The same, where there must be one.

        Raises:
            ValueError: If there is none.
        """
        found = self.data(given)
        if found is None:
            raise checks.reject("data", None, "given where `path` is of no run")
        return found

    def seed(self, given: int | None) -> int:
        """The seed that the user has given, else that of the run."""
        if given is None:
            return self.run.seed if self.run else 0
        return checks.integer("seed", given, minimum=0)


def source(path: Path) -> Source:
    """The artifact that `path` stands for: itself, or the best network of the run that it is.

    Raises:
        ValueError: If it is a run without a best.keras.
    """
    if not is_run(path):
        # Its own files, and those in `exported`.
        near = next((one for one in path.parents[:2] if is_run(one)), None)
        return Source(path, None if near is None else Run.open(near))
    run = Run.open(path)
    if not run.best.is_file():
        accepted = "a run with a best.keras (`train --resume` goes on with one that was stopped)"
        raise checks.reject("path", str(path), accepted)
    return Source(run.best, run)


class Loaded(NamedTuple):
    """A Keras model with what its file says about it."""

    model: "keras.Model"
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing | None


def loaded(path: Path) -> Loaded:
    """The model in the .keras file `path`."""
    from keras_bottleneck.export import load_model

    model, carried = load_model(path)
    if carried is None:
        return Loaded(model, None, None)
    return Loaded(model, carried.labels, carried.preprocessing)


def images_for(path: Path, found: Loaded, data: Path, **arguments: Any) -> "ImageData":
    """`data.image_folder` as the model of `path` takes images.

    Raises:
        ValueError: If the file does not say how images become its input, or the folder has other
            classes than the file.
    """
    from keras_bottleneck.data import image_folder

    if found.preprocessing is None:
        accepted = "a file that says how images become its input"
        raise checks.reject("path", str(path), accepted)
    images = image_folder(data, preprocessing=found.preprocessing, **arguments)
    if found.labels is not None and images.class_names != found.labels:
        accepted = f"a folder with the classes of the model, {', '.join(found.labels)}"
        raise checks.reject("data", list(images.class_names), accepted)
    return images
