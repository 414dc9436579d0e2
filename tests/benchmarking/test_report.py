"""What people see of a benchmark, and what CI reads."""

import io
import itertools
from dataclasses import replace

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image
from rich.console import Console

from keras_bottleneck.benchmarking import ROWS, BenchmarkReport, Cell
from keras_bottleneck.export import FORMATS


def shown(report, width):
    text = io.StringIO()
    Console(file=text, width=width).print(report)
    return text.getvalue()


def test_a_cell_is_found_by_its_row_and_threads(report):
    assert report["tflite"].threads == 1
    assert report["tflite", 2].p50_ms < report["tflite"].p50_ms
    with pytest.raises(KeyError, match="tflite_int8"):
        report["coreml"]


@pytest.mark.parametrize("width", [80, 120])
def test_every_figure_is_whole_in_a_terminal(report, width):
    text = shown(report, width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text
    for figure in ("float32", "91.0%", "1e-07", "0.588", "1.76", "1800", "failed", "0.33"):
        assert figure in text, figure
    assert "Layer 'a|b' has no int8 operator." in text
    headings = [line for line in text.splitlines() if "precision" in line]
    assert len(headings) == (1 if width == 120 else 2)


def test_markdown_has_a_row_for_each_cell_and_the_sentence_in_its_status(report):
    lines = [line for line in report.to_markdown().splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(report.cells)
    columns = {len(line.replace("\\|", "").split("|")) for line in lines}
    assert len(columns) == 1
    assert "Layer 'a\\|b' has no int8 operator." in lines[6]


def test_json_reads_back(report):
    found = BenchmarkReport.from_json(replace(report, min_top1=0.5).to_json())
    assert found == replace(report, min_top1=0.5)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "cells": 3}'])
def test_other_json_is_refused(text):
    with pytest.raises(ValueError, match="`text` must be JSON text of a benchmark report"):
        BenchmarkReport.from_json(text)


def test_without_floors_nothing_fails(report):
    assert not report.failed
    assert report.failures == ()


def test_too_little_accuracy_fails_and_so_does_a_cell_that_did_not_run(report):
    judged = replace(report, cells=report.cells[:5], min_top1=0.905)
    assert judged.failed
    assert judged.failures == (
        "tflite_int8 with 1 thread has a top-1 accuracy of 90.00%, less than 90.50%.",
        "onnx_int8 with 1 thread did not run: Layer 'a|b' has no int8 operator.",
    )
    assert not replace(report, cells=report.cells[:4], min_top1=0.9).failed
    assert judged.failures[0] in judged.to_markdown()
    assert "less than 90.50%." in shown(judged, 120)


def test_too_much_time_fails_for_files_but_not_for_keras(report):
    ran = [cell for cell in report.cells if cell.ok]
    judged = replace(report, cells=tuple(ran), max_latency_ratio=2)
    assert judged.failures == (
        "onnx with 1 thread takes 3 ms, 3 times as long as tflite: more than the 2 allowed.",
        "onnx with 2 threads takes 1.76 ms, 3 times as long as tflite: more than the 2 allowed.",
    )
    assert not replace(judged, max_latency_ratio=3.01).failed


def test_without_the_file_to_compare_with_no_latency_is_right(report):
    broken = Cell("tflite", "tflite", "float32", 1, "It crashed.")
    judged = replace(report, cells=(broken, report["onnx"]), max_latency_ratio=9)
    assert judged.failures == (
        "tflite with 1 thread did not run: It crashed.",
        "onnx with 1 thread has no latency of tflite to be compared with.",
    )


def test_the_picture_names_every_cell_that_ran_and_no_name_covers_another(report):
    cells = tuple(
        replace(report["tflite"], name=name, format=row.format, precision=row.precision)
        for name, row in ROWS.items()
    )
    full = replace(report, cells=(*cells, *(replace(cell, threads=2) for cell in cells)))
    figure = full.chart().figure
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = figure.axes
    # Of the words alone: an annotation's own extent has the line to its point in it.
    boxes = [Text.get_window_extent(label) for label in axes.texts]
    names = [label.get_text() for label in axes.texts]
    assert len(set(names)) == len(full.cells)
    width, height = canvas.get_width_height()
    for box in boxes:
        assert box.x0 >= axes.bbox.x1 and box.x1 <= width
        assert box.y0 >= 0 and box.y1 <= height
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_the_picture_is_written(report, tmp_path):
    path = report.plot(tmp_path / "benchmark.png")
    assert Image.open(path).size >= (1000, 500)


def test_without_labels_the_picture_shows_agreement(report):
    cells = tuple(replace(cell, top1=None, top5=None) for cell in report.cells)
    figure = replace(report, labelled=False, cells=cells).chart().figure
    assert "agreement" in figure.axes[0].get_ylabel()


def test_nothing_to_draw_is_an_error(report, tmp_path):
    with pytest.raises(ValueError, match="cells that ran"):
        replace(report, cells=report.cells[4:5]).plot(tmp_path / "benchmark.png")
    assert list(tmp_path.iterdir()) == []


def test_every_format_of_export_is_a_row():
    assert set(FORMATS) < set(ROWS)
    assert (ROWS["tflite_float16"].format, ROWS["tflite_float16"].precision) == (
        "tflite",
        "float16",
    )
    assert ROWS["saved_model"].format == "saved_model"
