"""SavedModel."""

import shutil
from pathlib import Path

from keras_bottleneck.export.source import Source


def write(source: Source, path: Path) -> None:
    """Write `source` as a SavedModel folder."""
    shutil.copytree(source.saved_model, path)
