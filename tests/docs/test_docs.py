"""The documentation builds without a warning, and all of its code runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from . import printed

pytest.importorskip("tensorflow", reason="the pages export, which needs TensorFlow")

DOCS = Path(__file__).parents[2] / "docs"
# What a kernel runs: see test_notebook.py.
NOTEBOOKS = ("first_hour",)
# Whose shell blocks are run as well.
SHELL = ("how_to/folders.md", "how_to/tasks.md")
PAGES = sorted(
    page.relative_to(DOCS).as_posix()
    for page in DOCS.rglob("*.md")
    if "```python" in page.read_text("utf-8") and page.stem not in NOTEBOOKS
)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_its_blocks_print(page, flowers, request):
    """`pytest -n 0 -m slow tests/docs --renew` writes it."""
    assert printed.run(DOCS / page, request.config.getoption("--renew"), page in SHELL) == []


def test_every_task_has_a_page_with_code():
    written = {path.stem for path in (DOCS / "how_to").glob("*.md")}
    assert written == {
        "folders",
        "tasks",
        "train",
        "finetune",
        "weights",
        "quantize",
        "qat",
        "export",
        "device_check",
        "run_without_tensorflow",
        "browser",
    }
    assert {f"how_to/{name}.md" for name in written} <= set(PAGES)


def test_every_public_folder_has_a_page():
    import keras_bottleneck as kb

    folders = {name for name in kb.__all__ if (Path(kb.__file__).parent / name).is_dir()}
    assert folders <= {path.stem for path in (DOCS / "api").glob("*.md")}


def test_every_public_name_is_on_the_page_of_its_folder():
    import keras_bottleneck as kb

    written = "".join(path.read_text("utf-8") for path in (DOCS / "api").glob("*.md"))
    listed = set(re.findall(r"^\.\. [\w:]+:: keras_bottleneck\.(\w+\.\w+)$", written, re.M))
    folders = [name for name in kb.__all__ if (Path(kb.__file__).parent / name).is_dir()]
    public = {f"{folder}.{name}" for folder in folders for name in getattr(kb, folder).__all__}
    elsewhere = {f"analysis.{name}" for name in ("ClassResult", "EvaluationReport", "evaluate")}
    assert public - listed == elsewhere


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built pages."""
    pytest.importorskip("furo", reason='the pages are built with pip install ".[docs]"')
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(DOCS), str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.slow
def test_the_pages_build_without_a_warning(site):
    index = (site / "index.html").read_text("utf-8")
    assert "Quick start" in index
    layers = (site / "api" / "layers.html").read_text("utf-8")
    assert "keras_bottleneck.layers.Bottleneck" in layers
    assert "1x1 reduce, 3x3, 1x1 expand" in layers
    failures = (site / "failures.html").read_text("utf-8")
    assert "https://github.com/tensorflow/tensorflow/issues/40157" in failures
    drawn = (site / "_images" / "bottleneck.svg").read_text("utf-8")
    assert "1×1 conv, 256" in drawn


@pytest.mark.slow
def test_the_pages_load_nothing_from_the_network(site):
    outside = re.compile(r"""(?:src|href|url\()\s*=?\s*["'(]?(?:https?:)?//[^"')\s>]+""")
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        # Links that a reader follows are no loading.
        text = re.sub(r"<a\s[^>]*>", "", text)
        text = re.sub(r"<link[^>]*rel=\"(?:next|prev|index|search|canonical)\"[^>]*>", "", text)
        assert outside.findall(text) == [], page
    for style in site.rglob("*.css"):
        assert "@import url(" not in style.read_text("utf-8")
