"""From a .keras file to artifacts."""

from pathlib import Path

from keras_bottleneck.data import image_folder
from keras_bottleneck.export import ExportReport, export_model, load_model
from keras_bottleneck.preprocessing import Preprocessing


def export_file(
    path: Path, directory: Path, formats: list[str], data: Path | None, image_size: int | None
) -> ExportReport:
    """Export the .keras file at `path` with the labels and preprocessing that it carries.

    Args:
        path: A .keras file.
        directory: Where the artifacts go.
        formats: Rows of `export.FORMATS`.
        data: Image folder to compare on; its validation part is used, as `train` split it.
        image_size: Side in pixels, where neither model nor file says it.
    """
    model, carried = load_model(path)
    labels = carried.labels if carried else None
    preprocessing = carried.preprocessing if carried else None
    verify = None
    if data is not None:
        _, height, width, channels = model.inputs[0].shape
        size = (image_size or height, image_size or width)
        used = preprocessing or Preprocessing(size, channels=channels)
        verify = image_folder(data, preprocessing=used, subset="validation").validation
    return export_model(
        model,
        directory,
        formats,
        labels=labels,
        preprocessing=preprocessing,
        verify=verify,
        image_size=image_size,
    )
