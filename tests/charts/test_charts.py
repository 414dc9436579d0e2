"""Charts that can be read: letters rather than boxes, and plain numbers at every axis."""

import warnings

import numpy as np
import pytest

from keras_bottleneck import charts
from keras_bottleneck.charts.canvas import logarithmic_ticks, plain
from keras_bottleneck.charts.fonts import Font, lettering

# A letter of the last plane for private use, which fonts leave empty.
NOWHERE = "\U0010fffd"


def font(family, letters):
    return Font(family, frozenset(map(ord, letters)))


LATIN = font("Latin", "cat dog")
HAN = font("Han", "猫犬")
KANA = font("Kana", "猫はな")
ARABIC = font("Arabic", "قطة")


@pytest.fixture
def drawn():
    """A function: the text in a drawing, of which matplotlib must not have warned."""

    def text(chart):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return chart.svg("test")

    return text


@pytest.mark.parametrize(
    ("names", "others", "families", "numbered"),
    [
        (["cat", "dog"], [HAN], (), {}),
        (["cat", "猫犬"], [KANA, HAN], ("Han",), {}),
        (["猫", "犬", "はな"], [HAN, KANA], ("Kana", "Han"), {}),
        (["cat", "猫", "한"], [HAN], ("Han",), {"한": "#2"}),
        (["cat", "猫"], [], (), {"猫": "#1"}),
        (["b猫"], [HAN], ("Han",), {"b猫": "#0"}),
    ],
)
def test_names_are_letters_where_a_font_has_them_and_numbers_elsewhere(
    names, others, families, numbered
):
    found = lettering(names, LATIN, others, shapes=True)
    assert (found.families, found.numbered) == (families, numbered)
    for name in names:
        assert found(name) == numbered.get(name, name)


@pytest.mark.parametrize(("shapes", "numbered"), [(True, {}), (False, {"قطة": "#1"})])
def test_arabic_is_a_number_where_its_letters_would_stand_unjoined(shapes, numbered):
    found = lettering(["cat", "قطة"], LATIN, [ARABIC], shapes=shapes)
    assert found.numbered == numbered


def test_long_names_are_cut():
    found = lettering(["a cat"], font("Latin", "a cat"), [])
    assert (found("a cat", 5), found("a cat", 4)) == ("a cat", "a c…")


def test_a_name_without_letters_here_is_a_number_in_the_picture(drawn):
    chart = charts.confusion(["cat", NOWHERE], np.array([[3, 1], [0, 2]]))
    assert chart.numbered == {NOWHERE: "#1"}
    text = drawn(chart)
    assert text.count(">#1<") == 2 and text.count(">cat<") == 2
    assert NOWHERE not in text


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0.3, 12, ["0.5", "1", "2", "5", "10"]),
        (0.0004, 30, ["0.001", "0.01", "0.1", "1", "10"]),
        (1.1, 4.2, ["1.5", "2", "3", "4"]),
        (1.01, 1.09, ["1.02", "1.04", "1.06", "1.08"]),
        (2e3, 2e6, ["10000", "100000", "1000000"]),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_plain_numbers(low, high, wanted):
    assert [plain(tick) for tick in logarithmic_ticks(low, high)] == wanted


def test_no_power_of_ten_is_in_a_picture(drawn):
    discs = [
        charts.Disc("one", "tflite", milliseconds, 0.9, 1e4) for milliseconds in (0.41, 0.9, 1.7)
    ]
    text = drawn(charts.accuracy_over_latency(discs, "top-1 accuracy", "net", 10))
    for tick in ("0.5", "1", "2"):
        assert f">{tick}<" in text
    norms = {"one": (1e-5, 1e-3), "two": (0.0, 3.0)}
    colours = drawn(charts.gradients((0, 5), norms, ("two",), "Gradients"))
    for tick in ("0.0001", "0.001", "1"):
        assert f">{tick}<" in colours
    for picture in (text, colours):
        assert "10^" not in picture and "mathdefault" not in picture and "e-0" not in picture


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_of_images_has_a_line_for_each_class_of_a_label(drawn, channels):
    images = [np.full((8, 12, channels), 20 * index, np.uint8) for index in range(11)]
    labels = [[("cat", " 70%"), ("dog $x", " 30%")], *[[("dog $x", "")]] * 9, []]
    chart = charts.grid(images, labels, "A batch")
    text = drawn(chart)
    assert len(chart.figure.axes[0].images) == 11
    assert text.count(">dog $x<") == 9 and "cat 70%" in text and "dog $x 30%" in text
    assert ">A batch<" in text
