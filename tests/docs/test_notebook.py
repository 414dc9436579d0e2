"""The notebook of the first hour: kept without outputs, shown with them."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "first_hour.ipynb"


def test_it_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(codes) > 5
    assert [(cell["outputs"], cell["execution_count"]) for cell in codes] == [([], None)] * len(
        codes
    )


@pytest.mark.slow
def test_its_page_shows_what_it_prints(tmp_path, request):
    """`pytest -n 0 -m slow tests/docs --renew` writes page and pictures."""
    for package in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(package, reason='notebooks run with pip install ".[docs]"')
    pytest.importorskip("tensorflow", reason="the notebook exports, which needs TensorFlow")
    from . import notebook

    page, renew = ROOT / "docs" / "first_hour.md", request.config.getoption("--renew")
    assert notebook.run(NOTEBOOK, page, tmp_path, renew) == []
