"""What a file must know about itself to predict: labels, preprocessing, names, versions."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from keras_bottleneck.checks import boolean, one_of, reject
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.runtime import kinds
from keras_bottleneck.runtime.kinds import Kind
from keras_bottleneck.runtime.ports import Input, Output, checked_labels, described
from keras_bottleneck.runtime.problems import unreadable
from keras_bottleneck.tasks import CLASSIFICATION, TASKS

FORMAT = 1
OUTPUTS = ("probabilities", "logits", "features")


@dataclass(frozen=True)
class Metadata:
    """What travels inside every artifact.

    Args:
        name: The model's name.
        labels: One per class, label or number, in the order of the outputs; None where they have
            no names.
        preprocessing: How an image becomes model input; None where the caller sees to that.
        input_name: Name of the model's input.
        output_name: "probabilities", "logits" where the softmax (of a multi-label model, the
            sigmoid) is left to the reader, also of the numbers of a regression, or "features" of a
            model that states nothing.
        versions: Package name -> version, of what made the file.
        task: "classification"; "multi-label" where each output is the probability or logit of a
            label of its own; or "regression" where outputs are numbers, which `labels` name.
        needs_vnni: Whether an int8 .onnx file computes right on x86 processors without VNNI only
            where the session's `session.x64quantprecision` is "1", as `runtime.load` sets it.
        inputs: Of a model with several inputs or outputs, what each input is; else none.
        outputs: Of such a model, what each output is; `labels`, `output_name` and `task` then state
            nothing.

    Raises:
        ValueError: If an argument is of another type.

    Example:
        >>> metadata = Metadata("tiny", ("cat", "dog"), None, versions={"keras": "3.15.1"})
        >>> Metadata.from_json(metadata.to_json()) == metadata
        True
    """

    name: str
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing | None
    input_name: str = "image"
    output_name: str = "probabilities"
    versions: dict[str, str] = field(default_factory=dict)
    needs_vnni: bool = False
    task: str = CLASSIFICATION
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()

    def __post_init__(self) -> None:
        for name in ("name", "input_name"):
            if not isinstance(getattr(self, name), str):
                raise reject(name, getattr(self, name), "a string")
        if not isinstance(self.preprocessing, Preprocessing | None):
            raise reject("preprocessing", self.preprocessing, "a Preprocessing or None")
        one_of("output_name", self.output_name, OUTPUTS)
        one_of("task", self.task, tuple(TASKS))
        boolean("needs_vnni", self.needs_vnni)
        object.__setattr__(self, "labels", checked_labels(self.labels))
        object.__setattr__(self, "inputs", described(Input, "inputs", self.inputs))
        object.__setattr__(self, "outputs", described(Output, "outputs", self.outputs))
        object.__setattr__(self, "versions", _versions(self.versions))

    def to_json(self) -> str:
        """The metadata as JSON text with a "format" number; equal metadata give equal text."""
        preprocessing = None if self.preprocessing is None else self.preprocessing.to_dict()
        content = {
            "format": FORMAT,
            "name": self.name,
            "labels": self.labels,
            "preprocessing": preprocessing,
            "input_name": self.input_name,
            "output_name": self.output_name,
            "versions": dict(sorted(self.versions.items())),
            "needs_vnni": self.needs_vnni,
        }
        if self.task != CLASSIFICATION:  # which files from before there were others do not state
            content["task"] = self.task
        if self.outputs:
            content["inputs"] = [asdict(port) for port in self.inputs]
            content["outputs"] = [asdict(port) for port in self.outputs]
        return json.dumps(content, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Metadata":
        """The metadata that `to_json` wrote.

        Raises:
            ValueError: If `text` is not such JSON, or of a newer format than this version reads.
        """
        content = _parsed(text)
        if content["preprocessing"] is not None:
            content["preprocessing"] = Preprocessing.from_dict(content["preprocessing"])
        return cls(**content)


def _parsed(text: str) -> dict[str, Any]:
    """The JSON object in `text` without its format number; it has every field and no other."""
    try:
        content = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        raise reject("text", _shortened(text), "JSON text of metadata") from None
    number = content.pop("format", None) if isinstance(content, dict) else None
    if type(number) is not int:
        raise reject("text", _shortened(text), "a JSON object with an integer `format`")
    if number != FORMAT:
        newer = ": a newer keras_bottleneck wrote this" if number > FORMAT else ""
        raise reject("format", number, f"{FORMAT}{newer}")
    # Files from before this was known may hold any codes.
    content.setdefault("needs_vnni", True)
    content.setdefault("task", CLASSIFICATION)
    content.setdefault("inputs", [])
    content.setdefault("outputs", [])
    names = {item.name for item in fields(Metadata)}
    if set(content) != names:
        wanted = f"a JSON object with the fields {', '.join(sorted(names))}"
        raise reject("text", sorted(content), wanted)
    return content


def _shortened(text: Any) -> Any:
    return text[:60] if isinstance(text, (str, bytes)) else text


def _versions(versions: Any) -> dict[str, str]:
    wanted = "a dict from package names to version strings"
    if not isinstance(versions, dict):
        raise reject("versions", versions, wanted)
    if not all(isinstance(item, str) for pair in versions.items() for item in pair):
        raise reject("versions", versions, wanted)
    return dict(versions)


def read(path: str | Path) -> Metadata | None:
    """The metadata inside an artifact; None where it carries none.

    Args:
        path: .keras, .onnx or .tflite file, or SavedModel folder.

    Raises:
        ValueError: If there is no such artifact, or it or its metadata is damaged.
    """
    found, kind = kinds.find(path)
    return carried(found, kind)


def carried(path: Path, kind: Kind) -> Metadata | None:
    """The metadata inside an artifact that exists; raises what `read` raises."""
    text = kind.read_metadata(path)
    if text is None:
        return None
    try:
        return Metadata.from_json(text)
    except ValueError as error:
        raise unreadable(path, kind.name, error) from None


def write(path: str | Path, metadata: Metadata) -> None:
    """Puts `metadata` inside an artifact, in place of what it carries.

    The model itself is not touched, and the same artifact and metadata give the same bytes.

    Args:
        path: .keras, .onnx or .tflite file, or SavedModel folder.
        metadata: What to store.

    Raises:
        ValueError: If there is no such artifact, or it is damaged.
        ImportError: If the file is .onnx and `onnx` is not installed.
    """
    found, kind = kinds.find(path)
    kind.write_metadata(found, metadata.to_json(), metadata.labels)
