"""What the verbs are given: a run or a file, and the images of the one or for the other."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from keras_bottleneck import checks
from keras_bottleneck.runs import Run
from keras_bottleneck.runtime import artifact

# A source is looked at where Keras is not installed, too.
if TYPE_CHECKING:
    from keras_bottleneck.data import Folder


class Source(NamedTuple):
    """An artifact and the run that it is of, if it is of any.

    Attributes:
        path: A file, or the folder of a SavedModel.
        run: The run in whose folder it lies.
    """

    path: Path
    run: Run | None

    def data(self, given: Path | None) -> "Folder | None":
        """The folder of images that the user has given, else that of the run."""
        from keras_bottleneck.data import Folder

        if given is None:
            return self.run.folder if self.run else None
        return Folder(given)

    def folder(self, given: Path | None) -> "Folder":
        """The same, where there must be one.

        Raises:
            ValueError: If there is none.
        """
        found = self.data(given)
        if found is None:
            raise checks.reject("data", None, "given where `path` is of no run")
        return found

    def exports(self, given: Path | None) -> Path:
        """The folder for exported files that the user has given, else the one beside the artifact.

        Raises:
            ValueError: If it cannot be written to.
        """
        beside = self.path.parent / artifact.EXPORTED
        return checks.folder_to_write("out", beside if given is None else given)

    def seed(self, given: int | None) -> int:
        """The seed that the user has given, else that of the run."""
        if given is None:
            return self.run.seed if self.run else 0
        return checks.integer("seed", given, minimum=0)


def source(path: Path) -> Source:
    """The artifact that `path` names: itself, or the best network of the run that it is.

    Raises:
        ValueError: If it is a run without a best.keras.
    """
    folder = artifact.run_of(path)
    run = None if folder is None else Run.open(folder)
    return Source(artifact.network(path), run)
