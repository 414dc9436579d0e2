"""The error of a failed export."""


class ExportError(RuntimeError):
    """An artifact could not be written, or does not compute what the model computes."""
