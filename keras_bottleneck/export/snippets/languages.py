"""The programs that can be written: one row each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """A program for files of one kind; `templates/` has its text.

    Attributes:
        language: What it is written in.
        artifact: Suffix of the files that it runs.
        suffix: Its own suffix.
        tensor_types: What its files may take and return; a type that stands in the name of a
            template of its own, `tensors_TYPE`, has its reading and writing filled in.
    """

    language: str
    artifact: str
    suffix: str
    tensor_types: tuple[str, ...] = ("float32",)

    @property
    def template(self) -> str:
        """File name of the template."""
        return f"{self.artifact[1:]}{self.suffix}.txt"


LANGUAGES = (
    Program("Python", ".tflite", ".py", ("float32", "int8", "uint8")),
    Program("Python", ".onnx", ".py"),
    Program("Kotlin", ".tflite", ".kt", ("float32", "int8")),
    Program("Swift", ".tflite", ".swift", ("float32", "int8", "uint8")),
    Program("C++", ".onnx", ".cpp"),
    Program("JavaScript", ".onnx", ".mjs"),
)
