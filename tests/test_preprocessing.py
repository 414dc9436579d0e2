"""Preprocessing against hand-computed values, TensorFlow and Pillow."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_bottleneck import resampling
from keras_bottleneck.preprocessing import Preprocessing, pixels

sides = st.integers(1, 70)
methods = st.sampled_from(["bilinear", "bicubic"])


def noise(height, width, channels=3, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, channels))
    return values.astype(np.uint8)


def tf_resized(image, height, width, method="bilinear"):
    """What the input pipeline makes of the image."""
    pytest.importorskip("tensorflow")
    from keras_bottleneck.data import pipeline

    prepare = Preprocessing((height, width), image.shape[-1], interpolation=method)
    return pipeline.resize(image, np.array([height, width, 0, 0]), prepare).numpy()


def pillow_resized(image, height, width, method):
    """Pillow's pixels, the width first: in one call, Pillow 13 begins with what shrinks much."""
    found = Image.fromarray(image)
    for size in ((width, found.height), (width, height)):
        found = found.resize(size, Image.Resampling[method.upper()])
    return np.asarray(found, np.float32)


def row(*values):
    return np.float32(values).reshape(1, -1, 1)


# Computed by hand from the triangle filter with half-pixel centres.
@pytest.mark.parametrize(
    ("image", "width", "expected"),
    [
        (row(0, 8), 4, [0, 2, 6, 8]),
        (row(0, 10, 20, 30), 2, [50 / 7, 160 / 7]),
        (row(0, 12), 3, [0, 6, 12]),
        (row(3, 9), 1, [6]),
        (row(7), 3, [7, 7, 7]),
        (row(0, 0, 95, 0, 0), 1, [95 / (1 + 2 * 0.8 + 2 * 0.6)]),
    ],
)
def test_resize_golden(image, width, expected):
    result = resampling.resize(image, 1, width)
    np.testing.assert_allclose(result.ravel(), expected, rtol=1e-6)
    turned = resampling.resize(image.swapaxes(0, 1), width, 1)
    np.testing.assert_array_equal(turned.ravel(), result.ravel())


# Computed by hand: at distances of 1/4, 3/4, 5/4 and 7/4 the cubic filter is 111, 29, -9, -3 / 128.
@pytest.mark.parametrize(
    ("image", "width", "expected"),
    [
        (row(0, 128), 4, [0, 128 * 29 / 140, 128 * 111 / 140, 128 * 111 / 102]),
        (row(100, 100, 200, 200), 4, [100, 100, 200, 200]),
        (row(0, 0, 255, 0, 0), 5, [0, 0, 255, 0, 0]),
        (
            row(64, 64, 192, 192),
            8,
            [64, 8384 / 137, 7232 / 131, 90, 166, 256 - 7232 / 131, 256 - 8384 / 137, 192],
        ),
    ],
)
def test_cubic_golden(image, width, expected):
    result = resampling.resize(image, 1, width, "bicubic")
    np.testing.assert_allclose(result.ravel(), expected, rtol=1e-6)
    turned = resampling.resize(image.swapaxes(0, 1), width, 1, "bicubic")
    np.testing.assert_array_equal(turned.ravel(), result.ravel())


@settings(max_examples=80, deadline=None)
@given(sides, sides, sides, sides, st.sampled_from([1, 3, 4]), st.integers(0, 99), methods)
def test_resize_agrees_with_tensorflow(height, width, rows, columns, channels, seed, method):
    image = noise(height, width, channels, seed)
    ours = Preprocessing((rows, columns), channels, interpolation=method).resized(image)
    assert np.abs(ours - tf_resized(image, rows, columns, method)).max() < 1e-3


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(600, 801, 224, 224), (301, 333, 601, 999), (1237, 640, 33, 640)])
def test_resize_agrees_with_tensorflow_on_photo_sizes(size, method):
    height, width, rows, columns = size
    image = noise(height, width)
    ours = Preprocessing((rows, columns), interpolation=method).resized(image)
    assert np.abs(ours - tf_resized(image, rows, columns, method)).max() < 1e-3


@settings(max_examples=80, deadline=None)
@given(sides, sides, sides, sides, st.integers(0, 99), methods)
def test_resize_is_within_one_level_of_pillow(height, width, rows, columns, seed, method):
    image = noise(height, width, seed=seed)
    ours = Preprocessing((rows, columns), interpolation=method).resized(image)
    assert np.abs(np.rint(ours) - pillow_resized(image, rows, columns, method)).max() <= 1


@pytest.mark.parametrize("size", [(480, 640), (601, 399), (150, 201)])
def test_a_crop_as_published_networks_are_evaluated(size):
    """The short side to 235 by one call of Pillow, and the centre of 224 x 224 cut out."""
    image = noise(*size)
    prepare = Preprocessing(224, resize="crop", crop_fraction=224 / 235, interpolation="bicubic")
    (rows, columns), (top, left) = prepare.geometry(*size)
    assert min(rows, columns) == 235
    whole = Image.fromarray(image).resize((columns, rows), Image.Resampling.BICUBIC)
    wanted = np.asarray(whole.crop((left, top, left + 224, top + 224)), np.float32)
    assert np.abs(np.rint(prepare.resized(image)) - wanted).max() <= 1


def test_same_size_passes_untouched():
    image = noise(9, 7)
    np.testing.assert_array_equal(Preprocessing((9, 7)).resized(image), image)


def test_input_array_is_not_written_to():
    image = noise(9, 7).astype(np.float32)
    before = image.copy()
    Preprocessing((9, 7), mean=(0.5,))(image)
    np.testing.assert_array_equal(image, before)


def test_formula_golden():
    prepare = Preprocessing((1, 2), scale=1 / 255, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    image = np.uint8([[[255, 0, 51], [0, 255, 102]]])
    result = prepare(image)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, [[[1, -1, 0.1], [-1, 3, 0.2]]], rtol=1e-6)


def test_crop_golden():
    """A 2 x 8 ramp, short side to round(2 / 0.5) = 4, so 4 x 16, of which the middle 2 x 2 stay."""
    ramp = np.tile(np.arange(8, dtype=np.float32)[None, :, None] * 10, (2, 1, 1))
    prepare = Preprocessing((2, 2), channels=1, resize="crop", crop_fraction=0.5)
    assert prepare.geometry(2, 8) == ((4, 16), (1, 7))
    np.testing.assert_allclose(prepare.resized(ramp)[..., 0], [[32.5, 37.5]] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("image_size", "fraction", "source", "expected"),
    [
        ((224, 224), 0.875, (480, 640), ((256, 341), (16, 58))),
        ((224, 224), 0.875, (640, 480), ((341, 256), (58, 16))),
        ((224, 224), 0.875, (224, 224), ((256, 256), (16, 16))),
        ((224, 224), 1.0, (100, 300), ((224, 672), (0, 224))),
        ((100, 200), 1.0, (50, 50), ((200, 200), (50, 0))),
        ((100, 200), 1.0, (50, 500), ((100, 1000), (0, 400))),
    ],
)
def test_crop_geometry(image_size, fraction, source, expected):
    prepare = Preprocessing(image_size, resize="crop", crop_fraction=fraction)
    assert prepare.geometry(*source) == expected


@settings(max_examples=200, deadline=None)
@given(sides, sides, sides, sides, st.floats(0.05, 1))
def test_crop_always_lies_inside(height, width, rows, columns, fraction):
    prepare = Preprocessing((rows, columns), resize="crop", crop_fraction=fraction)
    (resized_rows, resized_columns), (top, left) = prepare.geometry(height, width)
    assert 0 <= top <= resized_rows - rows
    assert 0 <= left <= resized_columns - columns
    assert abs((resized_rows - rows) - 2 * top) <= 1
    assert abs((resized_columns - columns) - 2 * left) <= 1


def encoded(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def smooth(channels):
    blobs = Image.fromarray(noise(6, 8)).resize((41, 37), Image.Resampling.BICUBIC)
    return {1: blobs.convert("L"), 3: blobs, 4: blobs.convert("RGBA")}[channels]


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("source", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_tensorflow_decodes(tmp_path, source, channels, subsampling):
    tf = pytest.importorskip("tensorflow")
    data = encoded(smooth(source), "JPEG", subsampling=subsampling)
    (tmp_path / "image.jpg").write_bytes(data)
    expected = tf.io.decode_jpeg(data, channels, dct_method="INTEGER_ACCURATE").numpy()
    np.testing.assert_array_equal(pixels(tmp_path / "image.jpg", channels), expected)


@pytest.mark.parametrize("source", [1, 3, 4])
@pytest.mark.parametrize("channels", [3, 4])
def test_png_is_what_tensorflow_decodes(tmp_path, source, channels):
    tf = pytest.importorskip("tensorflow")
    data = encoded(smooth(source), "PNG")
    (tmp_path / "image.png").write_bytes(data)
    expected = tf.io.decode_png(data, channels).numpy()
    np.testing.assert_array_equal(pixels(str(tmp_path / "image.png"), channels), expected)


def test_16_bit_png_is_what_tensorflow_decodes(tmp_path):
    tf = pytest.importorskip("tensorflow")
    deep = np.random.default_rng(0).integers(0, 65536, (5, 6)).astype(np.uint16)
    data = encoded(Image.fromarray(deep), "PNG")
    (tmp_path / "image.png").write_bytes(data)
    expected = tf.io.decode_png(data, 3).numpy()
    np.testing.assert_array_equal(pixels(tmp_path / "image.png", 3), expected)


def test_whole_chain_agrees_with_tensorflow(tmp_path):
    tf = pytest.importorskip("tensorflow")
    data = encoded(smooth(3), "JPEG")
    (tmp_path / "image.jpg").write_bytes(data)
    prepare = Preprocessing((16, 24), scale=1.0, mean=(100.0, 110.0, 120.0))
    decoded = tf.io.decode_jpeg(data, 3, dct_method="INTEGER_ACCURATE")
    expected = tf_resized(decoded, 16, 24) - np.float32([100, 110, 120])
    assert np.abs(prepare(tmp_path / "image.jpg") - expected).max() < 1e-3


def test_path_pil_and_array_agree(tmp_path):
    image = smooth(3)
    image.save(tmp_path / "image.png")
    prepare = Preprocessing((8, 9))
    expected = prepare(np.asarray(image))
    for same in (image, tmp_path / "image.png", np.asarray(image, np.float64)):
        np.testing.assert_array_equal(prepare(same), expected)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1)])
def test_grey_array_is_repeated_for_three_channels(shape):
    grey = np.arange(20, dtype=np.uint8).reshape(shape)
    result = Preprocessing((5, 4)).resized(grey)
    np.testing.assert_array_equal(result, np.stack([grey.reshape(5, 4)] * 3, axis=-1))


@pytest.mark.parametrize(
    ("image", "received"),
    [
        (np.zeros((4, 4, 4), np.uint8), "shape (4, 4, 4) and dtype uint8"),
        (np.zeros((4, 4, 2), np.uint8), "shape (4, 4, 2)"),
        (np.zeros((0, 4, 3), np.uint8), "shape (0, 4, 3)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "shape (1, 4, 4, 3)"),
        (np.zeros(4, np.uint8), "shape (4,)"),
        (np.zeros((4, 4, 3), np.int64), "dtype int64"),
        (np.zeros((4, 4, 3), bool), "dtype bool"),
        (np.full((4, 4, 3), np.nan, np.float32), "with NaN or infinite values"),
        (np.full((4, 4, 3), 1e300), "with NaN or infinite values"),
        ([[0, 1], [2, 3]], "image=[[0, 1], [2, 3]]"),
        (None, "image=None"),
    ],
)
def test_wrong_image(image, received):
    with pytest.raises(ValueError, match="^`image` must be ") as error:
        Preprocessing((2, 2))(image)
    assert received in str(error.value)


def test_grey_array_does_not_fit_four_channels():
    with pytest.raises(ValueError, match=r"\(H, W, 4\)"):
        Preprocessing((2, 2), channels=4)(np.zeros((4, 4), np.uint8))


def jpeg(**options):
    return encoded(smooth(3), "JPEG", **options)


@pytest.mark.parametrize(
    "content",
    [b"", b"not an image", jpeg()[:200], jpeg(quality=95)[:-300], encoded(smooth(3), "PNG")[:150]],
    ids=["empty", "text", "short jpeg", "cut jpeg", "cut png"],
)
def test_corrupt_file_names_the_path(tmp_path, content):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="^`image` must be a readable image file") as error:
        Preprocessing((2, 2))(path)
    assert str(path) in str(error.value)
    assert error.value.__suppress_context__


def test_missing_file_and_folder_name_the_path(tmp_path):
    for path in (tmp_path / "missing.jpg", tmp_path):
        with pytest.raises(ValueError, match="existing image file") as error:
            Preprocessing((2, 2))(path)
        assert str(path) in str(error.value)


def test_files_need_a_pillow_mode(tmp_path):
    smooth(3).save(tmp_path / "image.png")
    with pytest.raises(ValueError, match="`channels` must be 1, 3 or 4"):
        Preprocessing((2, 2), channels=5)(tmp_path / "image.png")


def test_32_bit_pil_images_are_refused():
    with pytest.raises(ValueError, match="8 or 16 bits per channel"):
        Preprocessing((2, 2))(Image.new("F", (4, 4)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", (0, 3)),
        ("image_size", (3, 3, 3)),
        ("image_size", "32"),
        ("channels", 0),
        ("channels", 3.0),
        ("resize", "squash"),
        ("resize", 1),
        ("crop_fraction", 0.0),
        ("crop_fraction", 1.1),
        ("crop_fraction", 0.9),
        ("scale", 0.0),
        ("scale", float("nan")),
        ("mean", 0.5),
        ("mean", (0.1, 0.2)),
        ("mean", ("0.1",)),
        ("mean", ()),
        ("std", (1.0, 1.0, 0.0)),
        ("std", (float("inf"),)),
        ("interpolation", "cubic"),
    ],
)
def test_wrong_argument(name, value):
    with pytest.raises(ValueError, match=rf"^`{name}` must be .*Received: {name}="):
        Preprocessing(**{"image_size": (4, 4), name: value})


def test_normalize_checks_channels():
    with pytest.raises(ValueError, match=r"^`pixels` must be .*3 channels.*\(2, 2, 4\)"):
        Preprocessing((2, 2)).normalize(np.zeros((2, 2, 4), np.float32))


def test_dict_round_trip_through_json():
    prepare = Preprocessing(
        (224, 192),
        3,
        "crop",
        0.875,
        1 / 255,
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        interpolation="bicubic",
    )
    assert Preprocessing.from_dict(json.loads(json.dumps(prepare.to_dict()))) == prepare
    assert prepare.input_shape == (224, 192, 3)


def test_dict_of_the_first_files():
    config = Preprocessing((4, 4)).to_dict()
    del config["color_order"], config["interpolation"]
    assert Preprocessing.from_dict(config) == Preprocessing((4, 4))


@pytest.mark.parametrize(
    "change", [lambda c: c.pop("mean"), lambda c: c.update(colour="RGB"), lambda c: c.clear()]
)
def test_dict_with_other_keys_is_refused(change):
    config = Preprocessing((4, 4)).to_dict()
    change(config)
    with pytest.raises(ValueError, match="^`config` must be a dict with the keys channels, col"):
        Preprocessing.from_dict(config)
    with pytest.raises(ValueError, match="^`config` must be"):
        Preprocessing.from_dict([config])
