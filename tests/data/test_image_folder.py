import warnings

import numpy as np
import pytest
from PIL import Image

from keras_bottleneck.data import image_folder
from keras_bottleneck.preprocessing import Preprocessing

tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")

CLASSES = ("ants", "bees", "cats")


def collect(dataset):
    batches = [(images.numpy(), labels.numpy()) for images, labels in dataset]
    return (np.concatenate(part) for part in zip(*batches, strict=True))


def nearest_file(image, expected):
    distances = {file: np.abs(image - pixels).max() for file, pixels in expected.items()}
    return min(distances.items(), key=lambda item: item[1])


PREPROCESSINGS = [
    Preprocessing((24, 32)),
    Preprocessing((24, 32), channels=1, scale=1.0),
    Preprocessing((24, 20), resize="crop", crop_fraction=0.875, mean=(0.4, 0.5, 0.6), std=(0.2,)),
    Preprocessing(40, resize="crop", scale=1 / 127.5, mean=(1.0,), interpolation="bicubic"),
]


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS)
@pytest.mark.parametrize("part", ["train", "validation"])
def test_pixels_and_labels_are_those_of_preprocessing(folder, preprocessing, part):
    data = image_folder(
        folder, batch_size=4, preprocessing=preprocessing, validation_split=0.5, cache=True
    )
    expected = {file: preprocessing(file) for file in folder.rglob("*.*") if file.is_file()}
    images, labels = collect(getattr(data, part))
    assert images.dtype == np.float32 and labels.dtype == np.int32
    assert images.shape == (15, *preprocessing.input_shape)
    tolerance = 1e-3 * preprocessing.scale / min(preprocessing.std)
    found = set()
    for image, label in zip(images, labels, strict=True):
        file, distance = nearest_file(image, expected)
        assert distance < tolerance
        assert file.relative_to(folder).parts[0] == CLASSES[label] == data.class_names[label]
        found.add(file)
    assert len(found) == 15


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "name",
    [
        "rgba.png",
        "grey.png",
        "palette.png",
        "grey.jpg",
        "first.gif",
        "grey.bmp",
        "cmyk.jpg",
        "palette.bmp",
    ],
)
def test_other_kinds_of_files(folder, smooth_image, channels, name):
    rng = np.random.default_rng(1)
    image = smooth_image(rng, 30, 40)
    if name == "rgba.png":
        image.putalpha(100)
    elif name.startswith("grey"):
        image = image.convert("L")
    elif name.startswith("palette"):
        image = image.quantize(32)
    elif name.startswith("cmyk"):
        image = image.convert("CMYK")
    frames = {"save_all": True, "append_images": [smooth_image(rng, 30, 40)]}
    (folder / "deer").mkdir()
    image.save(folder / "deer" / name, **(frames if name == "first.gif" else {}))
    data = image_folder(folder, 16, channels=channels, batch_size=64)
    images, labels = collect(data.train)
    (found,) = images[labels == data.class_names.index("deer")]
    np.testing.assert_allclose(found, data.preprocessing(folder / "deer" / name), atol=1e-5)


@pytest.mark.slow
def test_split_is_stratified_stable_and_a_function_of_the_seed(folder):
    first, again = (image_folder(folder, 16, seed=3) for _ in range(2))
    other = image_folder(folder, 16, seed=4)
    assert (first.train_size, first.validation_size) == (24, 6)
    images, labels = collect(first.validation)
    assert np.bincount(labels).tolist() == [2, 2, 2]
    for got, expected in zip(collect(again.validation), (images, labels), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert not np.array_equal(next(collect(other.validation)), images)
    np.testing.assert_array_equal(next(collect(first.validation)), images)


@pytest.mark.slow
@pytest.mark.parametrize("cache", [False, True])
def test_training_order_changes_by_epoch_and_repeats_by_seed(folder, cache):
    runs = []
    for seed in (0, 0, 1):
        train = image_folder(folder, 8, batch_size=5, seed=seed, cache=cache).train
        next(iter(train))  # a look at the first batch must not lead to another epoch's length
        runs.append([next(collect(train)) for _ in range(2)])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0][0], runs[0][1])
    assert not np.array_equal(runs[0], runs[2])
    np.testing.assert_array_equal(*[np.sort(epoch, axis=0) for epoch in runs[0]])


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("cache", [False, True])
def test_batches_from_anywhere_are_those_of_the_seed_alone(folder, cache):
    """Of 24 images: 5 batches in a pass, the last one smaller; augmentation and labels included."""

    def read(first, count):
        options = {"augment": ("crop", "mixup"), "cache": cache, "seed": 3}
        train = image_folder(folder, 8, batch_size=5, **options).train
        batches = train.from_batch(first).take(count)
        return [np.concatenate([i.numpy().ravel(), rows.numpy().ravel()]) for i, rows in batches]

    whole = read(0, 12)
    assert [len(batch) // (8 * 8 * 3) for batch in whole[3:6]] == [5, 4, 5]
    assert not np.array_equal(whole[0], whole[5])
    for first in (1, 4, 5, 7):
        tf.random.set_seed(first)  # that of the program has no say
        for one, other in zip(read(first, 12 - first), whole[first:], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_subset_is_that_part_of_both(folder, part):
    both, one = image_folder(folder, 8), image_folder(folder, 8, subset=part)
    other = "validation" if part == "train" else "train"
    assert getattr(one, other) is None and getattr(one, f"{other}_size") == 0
    for got, expected in zip(
        collect(getattr(one, part)), collect(getattr(both, part)), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_no_validation(folder):
    data = image_folder(folder, 8, validation_split=0)
    assert (data.validation, data.validation_size, data.train_size) == (None, 0, 30)
    assert len(data.train) == 1


def test_cache_survives_the_files(folder):
    data = image_folder(folder, 8, batch_size=5, cache=True)
    next(iter(data.train))  # enough to fill the cache
    list(data.validation)
    for file in folder.rglob("*.*"):
        if file.is_file():
            file.unlink()
    assert sum(len(labels) for _, labels in data.train) == 24
    assert sum(len(labels) for _, labels in data.validation) == 6


@pytest.fixture
def damaged(folder):
    whole = (folder / "ants" / "4.jpg").read_bytes()
    (folder / "ants" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "bees" / "text.jpg").write_text("no image")
    (folder / "bees" / "empty.png").touch()
    (folder / "cats" / "deeper" / "notes.txt").write_text("three cats")
    (folder / "cats" / ".DS_Store").write_text("hidden")
    (folder / ".git").mkdir()
    return folder


def test_unreadable_files_are_named_and_left_out(damaged):
    with pytest.warns(UserWarning, match="^3 of 33 files .* readable JPEG") as caught:
        data = image_folder(damaged, 8)
    assert len(caught) == 1 and "truncated.jpg" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert {file.name for file in data.skipped} == {
        "truncated.jpg", "text.jpg", "empty.png"
    }  # fmt: skip
    assert len(data.problems) == 3 and all(data.problems)
    assert all(file.is_file() for file in data.skipped)
    assert data.class_names == CLASSES
    images, _ = collect(data.train)
    assert len(images) == data.train_size == 24


def test_unreadable_file_as_error(damaged):
    with pytest.raises(
        ValueError, match="on_corrupt='error'. Received: '.*truncated.jpg' "
    ) as error:
        image_folder(damaged, 8, on_corrupt="error")
    assert "\n" not in str(error.value)


def test_clean_folder_does_not_warn(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert image_folder(folder, 8, on_corrupt="error").skipped == ()


def test_class_without_a_readable_file(damaged):
    (damaged / "dogs").mkdir()
    (damaged / "dogs" / "rex.jpg").write_text("woof")
    with pytest.raises(
        ValueError, match="class 'dogs' with 1 unreadable files, the first '.*rex.jpg"
    ):
        image_folder(damaged, 8)


def test_wrong_folders(folder, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    cases = {
        empty / "missing": "existing folder",
        folder / "ants" / "0.jpg": "not a file",
        3: "existing folder",
        empty: "at least two classes.*0 sub-folders",
        folder / "ants": "at least two classes.*1 sub-folders .'deeper'",
    }
    for path, message in cases.items():
        with pytest.raises(ValueError, match=f"^`path` must be .*{message}"):
            image_folder(path)
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match="^`path` must hold at least one image.*class 'empty'"):
        image_folder(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 0),
        ("image_size", (8, 8, 3)),
        ("batch_size", 0),
        ("validation_split", 1.0),
        ("validation_split", -0.1),
        ("subset", "valid"),
        ("seed", -1),
        ("seed", 0.5),
        ("channels", 4),
        ("channels", 2),
        ("augment", "flip"),
        ("augment", ("flop",)),
        ("augment", (3,)),
        ("preprocessing", "imagenet"),
        ("on_corrupt", "ignore"),
        ("cache", 1),
    ],
)
def test_wrong_arguments(folder, name, value):
    with pytest.raises(ValueError, match=f"^`{name}` must be .*Received: {name}=") as error:
        image_folder(folder, **{name: value})
    assert "\n" not in str(error.value)


def test_arguments_that_disagree(folder):
    prepared = Preprocessing(16, channels=1)
    assert image_folder(folder, preprocessing=prepared).preprocessing is prepared
    assert image_folder(folder, (16, 16), preprocessing=prepared, channels=1).train_size == 24
    for name, value in (("image_size", 32), ("channels", 3)):
        with pytest.raises(ValueError, match=f"^`{name}` must be that of `preprocessing`"):
            image_folder(folder, preprocessing=prepared, **{name: value})
    with pytest.raises(ValueError, match="^`validation_split` must be a number above 0"):
        image_folder(folder, validation_split=0, subset="validation")


def test_default_size_and_suggestion(folder):
    assert image_folder(folder).preprocessing == Preprocessing((224, 224))
    with pytest.raises(ValueError, match="did you mean 'mixup'"):
        image_folder(folder, augment=["mixup2"])


def test_symbolic_links_are_followed(folder):
    (folder / "dogs").symlink_to(folder / "bees", target_is_directory=True)
    assert image_folder(folder, 8).class_names == (*CLASSES, "dogs")


@pytest.mark.slow
def test_plain_keras_fit(folder):
    import keras

    data = image_folder(folder, 8, augment=("flip", "crop"))
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(data.train, validation_data=data.validation, epochs=2, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()


def test_large_image_next_to_a_tiny_one(folder):
    Image.new("RGB", (1, 1), "red").save(folder / "ants" / "dot.png")
    Image.new("RGB", (3000, 2), "blue").save(folder / "ants" / "line.png")
    data = image_folder(folder, 8, preprocessing=Preprocessing(8, resize="crop"), batch_size=64)
    images = np.concatenate([next(collect(part)) for part in (data.train, data.validation)])
    for file in ("dot.png", "line.png"):
        assert (
            nearest_file(data.preprocessing(folder / "ants" / file), dict(enumerate(images)))[1]
            < 1e-5
        )
