"""How Sphinx builds these pages: `sphinx-build -W docs docs/_build`."""

import inspect
import sys
from pathlib import Path

HERE = Path(__file__).parent
GENERATED = HERE / "_generated"
sys.path[:0] = [str(HERE.parent), str(HERE)]

import drawings  # noqa: E402
import house  # noqa: E402

from keras_bottleneck.failures import FAILURES  # noqa: E402
from keras_bottleneck.version import __version__  # noqa: E402

project = "keras_bottleneck"
author = "the keras_bottleneck authors"
copyright = "the keras_bottleneck authors, Apache-2.0"  # noqa: A001
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "_generated"]
# Names in docstrings stand between single backticks.
default_role = "code"
myst_heading_anchors = 3
# Options begin with two hyphens.
smartquotes = False

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_use_ivar = True

html_theme = "furo"
html_title = "keras_bottleneck"
html_copy_source = False
html_show_sourcelink = False


def setup(app):
    """Make what the pages include before they are read."""
    app.connect("builder-inited", lambda app: generate())
    app.connect("autodoc-process-signature", show_constructor)


def show_constructor(app, what, name, thing, options, signature, returns):
    """What a layer takes is said by `__init__`: Keras gives all of them a `__new__(*args)`."""
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    found = inspect.signature(thing.__init__)
    given = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in list(found.parameters.values())[1:]
    ]
    return str(found.replace(parameters=given, return_annotation=found.empty)), returns


def generate():
    """The drawings, and the table of known failures."""
    drawings.draw_all(GENERATED)
    (GENERATED / "house.svg").write_text(house.drawing(), "utf-8")
    rows = [
        f"| {row.sentence.replace('{', '*').replace('}', '*')} | {row.remedy} "
        f"| [{row.link.split('/')[-3]}#{row.link.split('/')[-1]}]({row.link}) |"
        for row in FAILURES
    ]
    table = ["| what has happened | what helps | reported |", "|---|---|---|", *rows]
    (GENERATED / "failures.md").write_text("\n".join(table) + "\n", "utf-8")
