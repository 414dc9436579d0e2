"""Programs in other languages that classify with exported files, written beside them."""

from keras_bottleneck.export.snippets.languages import LANGUAGES
from keras_bottleneck.export.snippets.writing import write_snippets

__all__ = ["LANGUAGES", "write_snippets"]
