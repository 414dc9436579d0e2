import numpy as np
import pytest

from keras_bottleneck import checks

NAN, INF = float("nan"), float("inf")


def refuses(check, *arguments, **options):
    with pytest.raises(ValueError) as error:
        check("size", *arguments, **options)
    message = str(error.value)
    assert message.startswith("`size` must be ")
    assert message.endswith(f". Received: size={arguments[0]!r}")
    return message


def test_reject_makes_the_error():
    error = checks.reject("stride", 0, "positive")
    assert isinstance(error, ValueError)
    assert str(error) == "`stride` must be positive. Received: stride=0"


@pytest.mark.parametrize("value", ["a", None, 1])
def test_one_of_gives_what_is_accepted(value):
    assert checks.one_of("size", value, ("a", None, 1)) is value


@pytest.mark.parametrize("value", ["c", True, 1.0, ["a"], np.array([1, 2])])
def test_one_of_refuses_the_rest(value):
    assert "one of 'a', None, 1" in refuses(checks.one_of, value, ("a", None, 1))


def test_one_of_suggests_the_nearest():
    message = refuses(checks.one_of, "symetric", ("symmetric", "same"))
    assert "(did you mean 'symmetric'?)" in message


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.uint8(3)])
def test_integer_gives_an_int(value):
    assert type(checks.integer("size", value)) is int
    assert checks.integer("size", value) == value


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", None, True, np.float32(2), (1,)])
def test_integer_refuses_the_rest(value):
    assert "an integer of at least 1" in refuses(checks.integer, value)


def test_integer_has_a_minimum():
    assert checks.integer("size", 0, 0) == 0
    assert "at least 5" in refuses(checks.integer, 4, 5)


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float32(0.25), np.int64(1)])
def test_number_gives_a_float(value):
    assert type(checks.number("size", value, 0, 1)) is float
    assert checks.number("size", value, 0, 1) == value


@pytest.mark.parametrize("value", [-0.1, 1.1, NAN, INF, -INF, "0.5", None, True, [0.5], 0.5j])
def test_number_refuses_the_rest(value):
    assert "a number of at least 0 and at most 1" in refuses(checks.number, value, 0, 1)


def test_number_may_have_open_ends():
    assert "above 0 and at most 1" in refuses(checks.number, 0, 0, 1, above=True)
    assert "at least 0 and below 1" in refuses(checks.number, 1, 0, 1, below=True)
    assert "a number above 0." in refuses(checks.number, 0, above=True)
    assert checks.number("size", 1e30) == 1e30


def test_boolean():
    assert checks.boolean("size", True) is True
    assert checks.boolean("size", False) is False
    for value in (0, 1, None, "True", np.bool_(True)):
        refuses(checks.boolean, value)


@pytest.mark.parametrize("value", [(1, 2), [1, 2], range(1, 3), np.array([1, 2])])
def test_integers_gives_a_tuple(value):
    assert checks.integers("size", value) == (1, 2)


@pytest.mark.parametrize("value", [(), 3, "12", b"12", {1: 2}, (1, 0), (1, 2.0), (1, None), None])
def test_integers_refuses_the_rest(value):
    assert "a sequence of integers of at least 1" in refuses(checks.integers, value)


def test_integers_may_have_a_length_and_a_minimum():
    assert checks.integers("size", (0, 1), length=2, minimum=0) == (0, 1)
    assert "a sequence of 3 integers" in refuses(checks.integers, (1, 2), length=3)


def test_size():
    assert checks.size("size", 5) == (5, 5)
    assert checks.size("size", [5, 7]) == (5, 7)
    for value in (0, -1, True, (5,), (5, 6, 7), (5, 0), 2.5, "ab", None):
        refuses(checks.size, value)


def test_integers_beyond_all_floats_are_refused():
    with pytest.raises(ValueError, match="^`size` must be a number of at least 0. Received: "):
        checks.number("size", 10**400)


def test_what_another_library_says_is_quoted_as_one_printable_line():
    damaged = ValueError("\x03tem/bn is missing.\nTraceback")
    assert checks.first_line(damaged) == r"\x03tem/bn is missing"
    assert checks.first_line(ValueError("größer als 3")) == "größer als 3"
    assert checks.first_line(KeyError()) == "KeyError"


@pytest.mark.parametrize("value", ["resnet50", "RESNET50", "ResNet5O"])
def test_one_of_suggests_whatever_the_case(value):
    message = refuses(checks.one_of, value, ("ResNet50", "MobileNetV2"))
    assert "(did you mean 'ResNet50'?)" in message


def test_meant_is_silent_where_nothing_is_near():
    assert checks.meant("zebra", ("tflite", "onnx")) == ""


def test_folder_to_write_gives_a_path_and_makes_nothing(tmp_path):
    assert checks.folder_to_write("out", str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below", "", None, 3])
def test_folder_to_write_refuses_the_rest(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert "that can be written to" in refuses(checks.folder_to_write, place)
