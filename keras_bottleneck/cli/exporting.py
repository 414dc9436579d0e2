"""From a .keras file to artifacts."""

from pathlib import Path

from keras_bottleneck import checks
from keras_bottleneck.data import image_folder
from keras_bottleneck.export import ExportReport, export_model, load_model


def export_file(
    path: Path,
    directory: Path,
    formats: list[str],
    data: Path | None,
    seed: int,
    image_size: int | None,
) -> ExportReport:
    """Export the .keras file at `path` with the labels and preprocessing that it carries.

    Args:
        path: A .keras file.
        directory: Where the artifacts go.
        formats: Rows of `export.FORMATS`.
        data: Image folder to compare on; its validation part is used, as `train` split it.
        seed: The seed that `train` split with.
        image_size: Side in pixels, where neither model nor file says it.

    Raises:
        ValueError: If `data` is given and the file does not say how images become its input.
    """
    model, carried = load_model(path)
    preprocessing = carried.preprocessing if carried else None
    verify = None
    if data is not None:
        if preprocessing is None:
            accepted = "left out: the model file does not say how images become its input"
            raise checks.reject("data", str(data), accepted)
        images = image_folder(data, preprocessing=preprocessing, subset="validation", seed=seed)
        verify = images.validation
    return export_model(
        model,
        directory,
        formats,
        labels=carried.labels if carried else None,
        preprocessing=preprocessing,
        verify=verify,
        image_size=image_size,
    )
