"""Folders as people have them: parts, tables, turned photographs, odd files."""

import io
import shutil
import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

from keras_bottleneck.data import image_folder

pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")

ORIENTATION = 0x0112


def photo(seed, size=(24, 18)):
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def fill(folder, count, seed):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        photo(seed + index).save(folder / f"{index}.png")


def parts(root, *names, classes=("ant", "bee")):
    for number, name in enumerate(names):
        for index, label in enumerate(classes):
            fill(root / name / label, 4, 1000 * number + 100 * index)


def opened(folder, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return image_folder(folder, 8, **options)


def sizes(data):
    return data.train_size, data.validation_size, data.test_size


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train", "val", "test"), (8, 8, 8)),
        (("Training", "VALIDATION", "testing"), (8, 8, 8)),
        (("train", "valid"), (8, 8, 0)),
        (("train", "test"), (6, 2, 8)),
        (("train",), (6, 2, 0)),
    ],
)
def test_parts_are_no_classes(tmp_path, names, expected):
    parts(tmp_path, *names)
    data = opened(tmp_path)
    assert data.class_names == ("ant", "bee")
    assert sizes(data) == expected
    if data.test:
        (images, labels), *_ = data.test
        assert sorted(labels.numpy()) == [0] * 4 + [1] * 4
        only = opened(tmp_path, subset="test")
        assert only.train is only.validation is None
        np.testing.assert_array_equal(next(iter(only.test))[0], images)


def test_a_test_part_is_in_no_other(tmp_path):
    parts(tmp_path, "train", "test")
    data = opened(tmp_path, batch_size=64)
    seen = np.concatenate(
        [images.numpy() for part in (data.train, data.validation) for images, _ in part]
    )
    ((tested, _),) = data.test
    distances = np.abs(seen[:, None] - tested.numpy()[None]).max((2, 3, 4))
    assert distances.min() > 0.01


def test_another_folder_validates(tmp_path):
    parts(tmp_path / "all", "", "more")
    plain, others = tmp_path / "plain", tmp_path / "others"
    parts(plain, "")
    fill(others / "ant", 3, 500)
    fill(others / "bee", 2, 600)
    assert sizes(opened(plain, validation=others)) == (8, 5, 0)
    parts(tmp_path / "split", "train", "val", "test")
    assert sizes(opened(tmp_path / "split", validation=others)) == (8, 5, 8)


def test_parts_with_other_classes_are_refused(tmp_path):
    parts(tmp_path, "train", "val")
    fill(tmp_path / "val" / "wasp", 1, 7)
    shutil.rmtree(tmp_path / "val" / "ant")
    with pytest.raises(
        ValueError, match="'validation' without 'ant', with 'wasp', which the train"
    ):
        image_folder(tmp_path)
    shutil.rmtree(tmp_path / "val")
    fill(tmp_path / "val" / "deep" / "ant", 1, 7)
    (tmp_path / "extra").mkdir()
    with pytest.raises(ValueError, match="^`path` must be a folder of the parts train, val alone"):
        image_folder(tmp_path)
    parts(tmp_path / "twice", "train", "val", "valid")
    with pytest.raises(
        ValueError, match="^`path` must be a folder with one folder for 'validation'"
    ):
        image_folder(tmp_path / "twice")
    for wanted in ("train", "train/ant"):
        with pytest.raises(ValueError, match="^`subset` must be .*no test part|^`path` must be"):
            image_folder(tmp_path / "twice" / wanted, subset="test")


def test_parts_without_classes(tmp_path):
    parts(tmp_path, "train")
    fill(tmp_path / "Test", 3, 700)
    (tmp_path / "__MACOSX").mkdir()
    with pytest.warns(UserWarning, match="^the part 'Test' has no folders of classes") as caught:
        data = image_folder(tmp_path, 8)
    assert caught[0].filename == __file__
    assert (sum(sizes(data)), data.test) == (8, None)
    shutil.rmtree(tmp_path / "Test")
    fill(tmp_path / "val", 3, 700)
    with pytest.raises(ValueError, match="a part 'validation' without 'ant', without 'bee'$"):
        image_folder(tmp_path, 8)


def test_classes_may_be_called_as_parts_are(tmp_path):
    parts(tmp_path, "", classes=("bus", "train"))
    assert opened(tmp_path).class_names == ("bus", "train")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_photographs_are_turned_alike_in_training_and_at_run_time(tmp_path, suffix):
    scene = photo(7, (40, 24))
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    (tmp_path / "scene").mkdir()
    fill(tmp_path / "other", 2, 50)
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}, "png": {}}
    for value, turn in undo.items():
        exif = Image.Exif()
        exif[ORIENTATION] = value
        stored = scene if turn is None else scene.transpose(turn)
        stored.save(tmp_path / "scene" / f"{value}.{suffix}", exif=exif, **options[suffix])
    data = opened(tmp_path, validation_split=0, batch_size=16)
    ((images, labels),) = data.train
    trained = images.numpy()[labels.numpy() == 1]
    # JPEG rounds blocks of other pixels in each.
    tolerance = 0.02 if suffix == "jpg" else 1e-6
    for value in undo:
        file = tmp_path / "scene" / f"{value}.{suffix}"
        expected = data.preprocessing(file)
        assert np.abs(expected - data.preprocessing(np.asarray(scene))).max() < tolerance
        np.testing.assert_array_equal(expected, data.preprocessing(file.read_bytes()))
        with Image.open(file) as image:
            np.testing.assert_array_equal(expected, data.preprocessing(image))
        assert min(np.abs(image - expected).max() for image in trained) < 1e-5


def test_odd_orientations_are_upright(tmp_path):
    for name, value in (("ant", 0), ("bee", 99)):
        exif = Image.Exif()
        exif[ORIENTATION] = value
        (tmp_path / name).mkdir()
        photo(1).save(tmp_path / name / "0.jpg", exif=exif)
    damaged = io.BytesIO()
    photo(2).save(damaged, "jpeg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    (tmp_path / "bee" / "1.jpg").write_bytes(damaged.getvalue())
    data = opened(tmp_path, validation_split=0)
    assert sizes(data) == (3, 0, 0)
    assert data.preprocessing(tmp_path / "bee" / "1.jpg").shape == (8, 8, 3)


def test_what_is_no_image_is_not_counted(tmp_path):
    parts(tmp_path, "")
    for name in ("notes.txt", "Thumbs.db", "desktop.ini", "list.json"):
        (tmp_path / "ant" / name).write_text("no image")
    photo(30).save(tmp_path / "ant" / "unnamed", "png")
    (tmp_path / "ant" / "real.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    with pytest.warns(UserWarning, match=r"1 of 10 files .*WebP.*real.heic \(a HEIC .*heif-conv"):
        data = image_folder(tmp_path, 8)
    assert data.train_size + data.validation_size == 9
    assert [file.name for file in data.skipped] == ["real.heic"]
    with pytest.raises(ValueError, match="real.heic'.*HEIC photograph: convert it|HEIC photograph"):
        data.preprocessing(tmp_path / "ant" / "real.heic")


def test_circles_of_links_end(tmp_path):
    parts(tmp_path, "")
    (tmp_path / "ant" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path)
    (tmp_path / "ant" / "there").symlink_to(tmp_path / "bee")
    (tmp_path / "bee" / "back").symlink_to(tmp_path / "ant")
    fill(tmp_path / "far", 2, 900)
    shutil.move(tmp_path / "far", tmp_path.parent / "far")
    (tmp_path / "bee" / "far").symlink_to(tmp_path.parent / "far")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each class holds the other one, too
        data = image_folder(tmp_path, 8)
    assert data.class_names == ("ant", "bee")
    assert data.train_size + data.validation_size == 2 * (4 + 4 + 2)


def test_copies_in_two_parts_are_named(tmp_path):
    parts(tmp_path, "train", "val")
    shutil.copy(tmp_path / "train" / "ant" / "2.png", tmp_path / "val" / "ant" / "copy.png")
    with pytest.warns(UserWarning, match="^1 images .*: train/ant/2.png = val/ant/copy.png$"):
        image_folder(tmp_path, 8)


def table(folder, heading, cells, separator=","):
    """A folder of images 0.png, 1.png, ... with a table that has a row for each."""
    fill(folder, len(cells), 0)
    rows = [heading, *([f"{index}.png", *map(str, row)] for index, row in enumerate(cells))]
    (folder / "labels.csv").write_text("\n".join(map(separator.join, rows)) + "\n")
    return folder


def targets(data):
    return {name: value for name, value in zip(data.class_names, data.train.labels.T, strict=True)}


NUMBERS = [[index / 2] for index in range(6)]


@pytest.mark.parametrize(
    ("heading", "cells", "task", "names", "dtype"),
    [
        (["file", "class"], [["b"], ["a"]] * 3, "classification", ("a", "b"), "int32"),
        (["file", "label"], [["10"], ["9"]] * 3, "classification", ("9", "10"), "int32"),
        (["Image", "species"], [["b"], ["a"]] * 3, "classification", ("a", "b"), "int32"),
        (["file", "ill"], [[0], [1]] * 3, "classification", ("not ill", "ill"), "int32"),
        (
            ["file", "red", "round"],
            [[0, 1], [1, 1]] * 3,
            "multi-label",
            ("red", "round"),
            "float32",
        ),
        (["file", "age"], NUMBERS, "regression", ("age",), "float32"),
        (["file", "x", "y"], [[1.5, 2], [3, 4.5]] * 3, "regression", ("x", "y"), "float32"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";"])
def test_tables(tmp_path, heading, cells, task, names, dtype, separator):
    data = opened(table(tmp_path, heading, cells, separator))
    assert (data.task, data.class_names) == (task, names)
    assert data.train_size + data.validation_size == 6
    ((images, labels),) = opened(tmp_path, validation_split=0).train
    assert labels.dtype == dtype
    files = [data.preprocessing(tmp_path / f"{index}.png") for index in range(6)]
    for image, label in zip(images.numpy(), labels.numpy(), strict=True):
        place = int(np.argmin([np.abs(image - file).max() for file in files]))
        row = [str(value) for value in cells[place]]
        if task == "classification" and names[0].startswith("not"):
            assert label == cells[place][0]
        elif task == "classification":
            assert names[label] == row[0]
        else:
            np.testing.assert_allclose(label, cells[place])


def test_tables_of_other_systems(tmp_path):
    fill(tmp_path / "café" / "old", 4, 0)
    folder = unicodedata.normalize("NFD", "café")
    (tmp_path / "café").rename(tmp_path / folder)
    rows = [f"café\\old\\{index}.png;{index},5" for index in range(3)]
    rows = [rows[0].replace("\\", "/"), *(row.replace("café", folder) for row in rows[1:])]
    (tmp_path / "labels.csv").write_text("\ufefffile;price\r\n" + "\r\n".join(rows), "utf-8")
    with pytest.warns(UserWarning, match="1 images have no row"):
        data = image_folder(tmp_path, 8, validation_split=0)
    assert data.task == "regression"
    assert sorted(data.train.labels.ravel()) == [0.5, 1.5, 2.5]


def test_a_table_says_parts_and_the_task_can_be_said(tmp_path):
    cells = [
        [index % 2, index % 3, part] for index, part in enumerate(["train", "val", "test"] * 2)
    ]
    data = opened(table(tmp_path, ["file", "a", "b", "split"], cells), task="regression")
    assert (data.task, sizes(data)) == ("regression", (2, 2, 2))
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text("file,kind\n0.png,x\n1.png,y\n2.png,x\n3.png,y\n4.png,x\n5.png,y\n")
    assert opened(tmp_path, labels=elsewhere).class_names == ("x", "y")


def test_what_is_missing_on_either_side_of_a_table_is_named(tmp_path):
    table(tmp_path, ["file", "age"], NUMBERS)
    (tmp_path / "3.png").unlink()
    photo(99).save(tmp_path / "more.png")
    with pytest.warns(UserWarning) as caught:
        data = image_folder(tmp_path, 8)
    assert [str(warning.message).rsplit(": ")[1] for warning in caught] == ["3.png", "more.png"]
    assert caught[0].filename == __file__
    assert data.train_size + data.validation_size == 5


@pytest.mark.parametrize(
    ("heading", "cells", "message"),
    [
        (
            ["name", "age"],
            NUMBERS,
            "a column called file or filename, of the files.*columns name, age",
        ),
        (["file", "age"], [[1.5], ["nan"]], "finite numbers. Received: nan as 'age' in line 3"),
        (["file", "age"], [[1.5], ["inf"]], "finite numbers"),
        (["file", "a", "b"], [[0, 1], [1, 2]], "0 and 1 for labels.*Received: 2 as 'b' in line 3"),
        (["file", "a", "b"], [[0, 1], [1, "x"]], "numbers in the columns.*'x' as 'b' in line 3"),
        (["file", "class"], [["a"], ["a"]], "at least two classes"),
        (["file", "class"], [["a"], [""]], "a class or number in each row .line 3"),
        (
            ["file", "age"],
            [[1.5], [2], ["n/a"]],
            "numbers alone in .* 'age'.*'n/a' in line 4",
        ),
        (["file", "class"], [["a"], ["b", "c"]], "2 cells in each row.*3 in line 3"),
        (["file", "class", "part"], [["a", "train"], ["b", "dev"]], "parts are train, val.*'dev'"),
        (["file"], [[], []], "a column for the class, each label or each number"),
    ],
)
def test_wrong_tables(tmp_path, heading, cells, message):
    table(tmp_path, heading, cells)
    with pytest.raises(ValueError, match=f"^`labels` must be .*{message}") as error:
        image_folder(tmp_path)
    assert "\n" not in str(error.value)


def test_other_wrong_tables(tmp_path):
    table(tmp_path, ["file", "a", "b"], [[0, 1], [1, 0]])
    with pytest.raises(ValueError, match="^`task` must be 'multi-label' or 'regression'"):
        image_folder(tmp_path, task="classification")
    with pytest.raises(ValueError, match="^`task` must be one of"):
        image_folder(tmp_path, task="boxes")
    with pytest.raises(ValueError, match="^`labels` must be an existing CSV file"):
        image_folder(tmp_path, labels="missing.csv")
    for content in (b"", b"file,a\n", b"\xff\xfe\x00"):
        (tmp_path / "labels.csv").write_bytes(content)
        with pytest.raises(ValueError, match="^`labels` must be"):
            image_folder(tmp_path)
    (tmp_path / "labels.csv").write_text("file,a\n0.png,1.5\n0.png,2.5\n")
    with pytest.raises(ValueError, match="^`labels` must be a table with one row for each file"):
        image_folder(tmp_path)
    (tmp_path / "labels.csv").write_text("file,a\nnone.png,1.5\n")
    with pytest.raises(ValueError, match="^`labels` must be .*of which none exists"):
        image_folder(tmp_path)
