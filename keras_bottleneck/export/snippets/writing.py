"""Filling in the templates, and putting the programs where they belong."""

import os
import string
from importlib import resources
from pathlib import Path

from keras_bottleneck import checks
from keras_bottleneck.export import target_folder
from keras_bottleneck.export.snippets.languages import LANGUAGES, Program
from keras_bottleneck.export.snippets.values import labels_of, problem, tensor_type, values_of
from keras_bottleneck.runtime import load, manifest

FOLDER = "snippets"
ARTIFACTS = (".tflite", ".onnx")


class _Template(string.Template):
    # All of the languages use the dollar for something else.
    delimiter = "%%"


def write_snippets(directory: str | Path) -> list[Path]:
    """Write programs that classify photos with the exported files, in the languages of devices.

    Each has what the file needs filled in: names, shapes, scales, and how a photo becomes the
    model's input, to the last of its steps, because the resizing of each platform is another one.
    Labels stand in a file beside the programs, which need neither TensorFlow nor this package.

    Python takes .tflite with `ai-edge-litert`, .onnx with `onnxruntime`, and numpy and pillow;
    Kotlin takes .tflite with LiteRT for Android, Swift .tflite with TensorFlowLiteSwift, C++ .onnx
    with ONNX Runtime, and JavaScript .onnx with onnxruntime-web, in the browser and in Node.js.

    Args:
        directory: A folder of `export_model`; the programs go into `snippets` inside it, in place
            of those of the same names. The exported files and their manifest are not touched.

    Returns:
        The paths of the programs.

    Raises:
        ValueError: If the folder has no manifest, or lists no .tflite or .onnx file, or one that is
            no model of whole images with stored preprocessing and a batch of 1 or any.
        ImportError: If the runtime of one of the files is not installed.

    Example:
        >>> write_snippets("exported")[0].name  # doctest: +SKIP
        'resnet18_onnx.py'
    """
    folder = _checked(directory)
    listed = sorted(manifest.read(folder))
    artifacts = [folder / name for name in listed if name.endswith(ARTIFACTS)]
    if not artifacts:
        raise checks.reject(
            "directory", str(directory), "a folder in which export_model wrote .tflite or .onnx"
        )
    written = {name: text for path in artifacts for name, text in _texts(path).items()}
    target = folder / FOLDER
    if target.exists() and not target.is_dir():
        raise checks.reject("directory", str(directory), f"a folder without a file called {FOLDER}")
    with target_folder.scratch_folder(folder) as scratch:
        for name, text in written.items():
            (scratch / name).write_text(text, encoding="utf-8")
        target.mkdir(exist_ok=True)
        for name in written:
            os.replace(scratch / name, target / name)
    return [target / name for name in written if not name.endswith(".txt")]


def _checked(directory: str | Path) -> Path:
    if not isinstance(directory, (str, Path)) or not Path(directory).is_dir():
        raise checks.reject("directory", directory, "a folder of export_model")
    return Path(directory)


def _texts(artifact: Path) -> dict[str, str]:
    """File name to text of the programs for one artifact, and of its labels."""
    predictor = load(artifact)
    if (reason := problem(predictor)) is not None:
        accepted = f"a folder of classifiers with preprocessing ({artifact.name}: {reason})"
        raise checks.reject("directory", str(artifact.parent), accepted)
    values = values_of(predictor)
    dtype = tensor_type(artifact)
    texts = {values["labels"]: "".join(f"{label}\n" for label in labels_of(predictor))}
    for program in LANGUAGES:
        if program.artifact == artifact.suffix and dtype in program.tensor_types:
            name = f"{artifact.stem}_{artifact.suffix[1:]}{program.suffix}"
            texts[name] = _filled(program, dtype, {**values, "snippet": name})
    return texts


def _filled(program: Program, dtype: str, values: dict[str, str]) -> str:
    parts = {
        "preprocessing": f"preprocessing{program.suffix}.txt",
        "tensors": f"tensors_{dtype}{program.suffix}.txt",
    }
    templates = resources.files(__package__) / "templates"
    filled = dict(values)
    for part, name in parts.items():
        if (templates / name).is_file():
            filled[part] = _substituted(templates / name, values).rstrip("\n")
    return _substituted(templates / program.template, filled)


def _substituted(template: resources.abc.Traversable, values: dict[str, str]) -> str:
    return _Template(template.read_text(encoding="utf-8")).substitute(values)
