"""From files to predictions, without keras or tensorflow where the file does not need them."""

from pathlib import Path

from keras_bottleneck.checks import boolean, integer
from keras_bottleneck.runtime import artifact, flipping, metadata, probing
from keras_bottleneck.runtime.metadata import Metadata
from keras_bottleneck.runtime.ports import Input, Output
from keras_bottleneck.runtime.predictor import Predictor

__all__ = ["Input", "Metadata", "Output", "Predictor", "load"]


def load(
    path: str | Path,
    threads: int | None = None,
    trusted: bool = False,
    tta: str | None = None,
) -> Predictor:
    """Opens an artifact in its own runtime.

    A file with its sha256 in the `manifest.json` beside it was run and compared when it was
    exported, and is opened at once. Another .tflite or .onnx file is opened and run in a process
    of its own first (about a second; once for each content), within 10 seconds of processor time
    and 1 GiB: native runtimes may crash or hang on damaged files, and that process ends then, not
    yours. A file that has changed since its manifest was written is refused.

    Of the folder of an export, the best file whose runtime is installed is opened: the most exact
    (float32, float16, int16, dynamic range, int8), and of equally exact ones the .tflite, the
    .onnx, the SavedModel in this order. Of the folder of a run, that is its best.keras, and where
    Keras is not installed the best file in `exported`. `path` of the predictor says which.

    Args:
        path: .tflite file (LiteRT), .onnx file (ONNX Runtime), .keras file (Keras), SavedModel
            folder (TensorFlow; what its graph says is done, so that it must be from someone you
            trust), or the folder of an export or a run.
        threads: CPU threads for .tflite and .onnx; None leaves the number to the runtime.
        trusted: Whether to open it as it is, without a look at the manifest and without that
            process; for files that you have written yourself.
        tta: "flip" for two looks at each image, the second at its mirror image, left to right: what
            a call gives is the mean of both probabilities (of a regression, of both numbers), in
            twice the time. `Predictor.run` looks once.

    Raises:
        ValueError: If there is no such artifact, it or its metadata is damaged, or it is not the
            one that its manifest lists.
        ImportError: If the runtime's package is not installed; the message names it.

    Example:
        >>> load("model.tflite", threads=2)("cat.jpg", top=1)  # doctest: +SKIP
        [('cat', 0.93)]
        >>> load("exported").path  # doctest: +SKIP
        PosixPath('exported/resnet18.tflite')
    """
    found, kind = artifact.find(path)
    count = None if threads is None else integer("threads", threads)
    flipping.checked(tta)
    if not boolean("trusted", trusted):
        probing.admit(found, kind)
    return Predictor(found, kind.open(found, count), metadata.carried(found, kind), tta)
