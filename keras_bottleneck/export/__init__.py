"""Model -> files that have been run and compared."""

from keras_bottleneck.export.audit import AuditReport, audit
from keras_bottleneck.export.errors import ExportError
from keras_bottleneck.export.exporter import export_model
from keras_bottleneck.export.formats import FLOAT_FORMATS, FORMATS
from keras_bottleneck.export.keras_file import load_model, save_model
from keras_bottleneck.export.report import Artifact, ExportReport
from keras_bottleneck.export.snippets import write_snippets

__all__ = [
    "FLOAT_FORMATS",
    "FORMATS",
    "Artifact",
    "AuditReport",
    "ExportError",
    "ExportReport",
    "audit",
    "export_model",
    "load_model",
    "save_model",
    "write_snippets",
]
