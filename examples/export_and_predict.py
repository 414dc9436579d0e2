"""A saved model to verified files, and labels from each of them for one image.

The .keras file comes from `keras_bottleneck.export.save_model` (or `keras-bottleneck train`), so
that it knows its labels and its preprocessing.

    python examples/export_and_predict.py run/best.keras photo.jpg --out exported --data flowers
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

import keras_bottleneck as kb
from keras_bottleneck import data
from keras_bottleneck.export import FLOAT_FORMATS, load_model


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a .keras file")
    parser.add_argument("image", type=Path, help="an image file")
    parser.add_argument("--out", type=Path, default=Path("exported"))
    parser.add_argument("--data", type=Path, help="image folder to compare the files on")
    options = parser.parse_args(arguments)

    model, carried = load_model(options.model)
    if carried is None:
        parser.error(f"{options.model} carries no labels: save it with export.save_model")
    verify = None
    if options.data:
        images = data.image_folder(options.data, preprocessing=carried.preprocessing)
        verify = images.validation
    report = kb.export_model(
        model,
        options.out,
        list(FLOAT_FORMATS),
        labels=carried.labels,
        preprocessing=carried.preprocessing,
        verify=verify,
    )
    print(report)

    table = Table("file", "label", "probability", title=options.image.name)
    for path in (options.model, *(artifact.path for artifact in report.artifacts)):
        ((label, probability),) = kb.runtime.load(path)(options.image, top=1)
        table.add_row(path.name, label, f"{probability:.4f}")
    Console().print(table)


if __name__ == "__main__":
    main()
