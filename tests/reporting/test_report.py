"""The page: what is on it, what is left out, and that it needs nothing but itself."""

import hashlib
import shutil
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck.reporting import write_report

from .conftest import CLASSES

VOID = {"meta", "br", "img", "input", "hr", "link"}


class Page(HTMLParser):
    """The sections, text, ids and references of a page; tags must be closed in order."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.sections, self.ids = Counter(), [], Counter()
        self.references, self.texts, self.open = [], [], []
        self.feed(path.read_text())
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        given = dict(attributes)
        if tag == "section":
            self.sections.append(given["id"])
        if "id" in given:
            self.ids[given["id"]] += 1
        names = ("src", "href", "xlink:href", "srcset", "action", "poster", "data")
        self.references += [given[name] for name in names if name in given]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


ALL = ["settings", "curves", "confusion", "worst", "sensitivity", "benchmark", "files"]


@pytest.fixture(scope="module")
def whole(build_run, images, tmp_path_factory):
    """The page of a run with all parts, made once, and the run."""
    run = build_run(tmp_path_factory.mktemp("whole"))
    return Page(write_report(run, data=images)), run


def test_all_parts_are_on_the_page(whole):
    page, run = whole
    assert page.sections == ALL
    assert page.tags["svg"] == 2 + 1 + 1 + 1
    assert "/home/<me>/flowers" in page.text
    assert "Layer <b> has no operator." in page.text
    assert "less than 50.00%" in page.text
    for name in ("best.keras", "exported/page.tflite"):
        assert name in page.text
        assert hashlib.sha256((run / name).read_bytes()).hexdigest() in page.text
    assert "changed since" not in page.text


def test_the_page_needs_nothing_but_itself(whole):
    page, run = whole
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    local = {one[1:] for one in page.references if one.startswith("#")}
    others = [one for one in page.references if not one.startswith("#")]
    assert len(others) == 12
    assert all(one.startswith("data:image/png;base64,") for one in others)
    assert local <= set(page.ids)
    assert max(page.ids.values()) == 1
    text = (run / "report.html").read_text()
    assert "@import" not in text
    assert "url(http" not in text


def test_names_are_text_wherever_they_stand(whole):
    page, run = whole
    for name in CLASSES[:3]:
        assert name in page.text
    assert "<script>" not in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ("config.json", "settings"),
        ("metrics.csv", "curves"),
        ("benchmark", "benchmark"),
    ],
)
def test_what_is_not_there_is_left_out(run, path, section):
    target = run / path
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    page = Page(write_report(run))
    wanted = [one for one in ("settings", "curves", "benchmark", "files") if one != section]
    assert page.sections == wanted


def test_a_training_that_still_writes_its_metrics_can_be_looked_at(run):
    with (run / "metrics.csv").open("a") as stream:
        stream.write("3,0.7")
    assert "curves" in Page(write_report(run)).sections


def test_an_empty_run_is_a_page_too(tmp_path):
    page = Page(write_report(tmp_path, tmp_path / "page.html"))
    assert page.sections == []
    assert tmp_path.name in page.text


def test_without_labels_only_sensitivity_is_shown(run, images):
    page = Page(write_report(run, data=images[0]))
    assert "sensitivity" in page.sections
    assert "confusion" not in page.sections
    assert "worst" not in page.sections


def test_sensitivity_can_be_left_out(run, images):
    page = Page(write_report(run, data=images, sensitivity=False))
    assert page.sections == [one for one in ALL if one != "sensitivity"]


def test_a_file_that_is_no_longer_the_one_that_was_compared_is_marked(run):
    with (run / "exported" / "page.tflite").open("ab") as stream:
        stream.write(b"\0")
    assert Page(write_report(run)).text.count("changed since it was exported") == 1


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[1]"),
        ("metrics.csv", "epoch,loss\n0,much\n"),
        ("benchmark/benchmark.json", "{}"),
    ],
)
def test_a_damaged_part_is_named_and_no_page_is_written(run, path, content):
    (run / path).write_text(content)
    with pytest.raises(ValueError, match=f"`run` must be a run folder with a whole {path}"):
        write_report(run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"run": "nowhere"}, "run"),
        ({"run": None}, "run"),
        ({"path": "nowhere/page.html"}, "path"),
        ({"path": "."}, "path"),
        ({"images": 0}, "images"),
        ({"sensitivity": 1}, "sensitivity"),
        ({"seed": -1}, "seed"),
        ({"data": np.zeros((4, 9, 9, 3))}, "data"),
        ({"data": "nowhere"}, "path"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_writes_nothing(changes, named, run):
    before = sorted(run.rglob("*"))
    with pytest.raises(ValueError, match=f"^`{named}` must ") as caught:
        write_report(**{"run": run, **changes})
    assert "\n" not in str(caught.value)
    assert sorted(run.rglob("*")) == before


def test_names_that_no_font_here_can_write_are_numbers_in_the_picture(run, network, images):
    # The last plane for private use, which fonts leave empty.
    names = ("cat", "dog", "\U0010fffd", "\U0010fffc")
    kb.export.save_model(network, run / "best.keras", names, kb.Preprocessing(8))
    page = Page(write_report(run, data=images, sensitivity=False))
    assert f"#2 {names[2]} #3 {names[3]}" in page.text
    assert page.text.count("#2") == 3


def test_data_without_a_model_is_refused(run, images):
    (run / "best.keras").unlink()
    with pytest.raises(ValueError, match="`data` must be None for a run folder without best.keras"):
        write_report(run, data=images)
