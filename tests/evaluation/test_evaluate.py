"""`evaluate`: figures that can be worked out by hand, on every kind of artifact."""

import keras
import numpy as np
import pytest
from PIL import Image

import keras_bottleneck as kb
from keras_bottleneck.evaluation import METRICS, Metric, evaluate

pytest.importorskip("tensorflow", reason="images are read with tf.data")

# What colour the images of each class have, as 8 bits of red, green and blue.
COLOURS = {
    "blue": [(0, 0, 255)] * 4,
    "green": [(0, 255, 0)] * 3 + [(255, 0, 0)],
    "red": [(255, 0, 0)] * 5,
}
# The network answers green for green, and so on; the softmax of (4, 0, 0).
SURE = float(np.exp(4) / (np.exp(4) + 2))
UNSURE = (1 - SURE) / 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation") / "colours"
    for name, colours in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for index, colour in enumerate(colours):
            # No two files are the same.
            Image.new("RGB", (6 + len(name), 6 + index), colour).save(
                folder / name / f"{index}.png"
            )
    return folder


@pytest.fixture(scope="module")
def model():
    """Answers by the mean of each channel."""
    image = keras.Input((6, 6, 3))
    head = keras.layers.Dense(3, activation="softmax", use_bias=False)
    network = keras.Model(image, head(keras.layers.GlobalAveragePooling2D()(image)), name="colour")
    # Red, green, blue to blue, green, red.
    head.set_weights([4 * np.eye(3)[::-1]])
    return network


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("evaluated") / "colour.keras"
    return kb.export.save_model(model, path, ("blue", "green", "red"), kb.Preprocessing((6, 6)))


def test_the_figures_are_those_worked_out_by_hand(file, folder):
    report = evaluate(file, folder, subset="both")
    assert report.images == 13
    assert report.top1 == pytest.approx(12 / 13)
    assert report.top5 is None
    loss = -(12 * np.log(SURE) + np.log(UNSURE)) / 13
    assert report.loss == pytest.approx(loss, rel=1e-5)
    blue, green, red = report.classes
    assert (green.label, green.images, green.recall, green.taken_for) == ("green", 4, 0.75, "red")
    assert (red.recall, red.taken_for) == (1.0, None)
    assert red.precision == pytest.approx(5 / 6)
    assert (blue.precision, green.precision) == (1.0, 1.0)
    printed = str(report)
    assert "colour.keras on all of colours" in printed
    assert printed.index("green") < printed.index("blue"), "the worst class comes first"


@pytest.fixture(scope="module")
def one_sided(tmp_path_factory):
    """Answers logits by the colour of the left half alone; and a folder of images of two halves."""
    image = keras.Input((6, 6, 3))
    left = keras.layers.Cropping2D(((0, 0), (0, 3)))(image)
    head = keras.layers.Dense(2, use_bias=False)
    network = keras.Model(image, head(keras.layers.GlobalAveragePooling2D()(left)), name="left")
    head.set_weights([np.array([[4.0, 0], [0, 2], [0, 0]])])
    root = tmp_path_factory.mktemp("sides")
    for name, (left, right) in {"a": ("red", "lime"), "b": ("blue", "lime")}.items():
        (root / "photos" / name).mkdir(parents=True)
        for index in range(2):
            picture = Image.new("RGB", (6, 6 + index), right)
            picture.paste(left, (0, 0, 3, 6 + index))
            picture.save(root / "photos" / name / f"{index}.png")
    file = kb.export.save_model(network, root / "left.keras", ("a", "b"), kb.Preprocessing((6, 6)))
    return file, root / "photos"


def test_flips_average_the_probabilities_of_both_looks(one_sided):
    file, folder = one_sided
    red, lime = 1 / (1 + np.exp(-4)), 1 / (1 + np.exp(2))  # probabilities of "a"; of blue, 1/2
    predictor = kb.runtime.load(file, tta="flip")
    found = predictor.probabilities([folder / "a" / "0.png", folder / "b" / "0.png"])
    wanted = np.array([(red + lime) / 2, (0.5 + lime) / 2])
    np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-5)
    report = evaluate(file, folder, subset="both", tta="flip")
    # Blue is as much "a" as "b": the first is taken, until the mirror image is looked at.
    assert (report.top1, report.flipped["top1"]) == (0.5, 1.0)
    loss = -np.log([wanted[0], 1 - wanted[1]]).mean()
    assert report.flipped["loss"] == pytest.approx(loss, rel=1e-5)
    assert "with flips: 100.0%" in str(report)
    assert evaluate(file, folder, subset="both").flipped is None
    for call in (lambda: evaluate(file, folder, tta="turn"), lambda: kb.runtime.load(file, tta=1)):
        with pytest.raises(ValueError, match="^`tta` must be one of None, 'flip'"):
            call()


def test_a_subset_is_that_of_the_training(file, folder):
    images = kb.data.image_folder(folder, 6, seed=3)
    assert evaluate(file, folder, seed=3).images == images.validation_size
    assert evaluate(file, folder, seed=3, subset="train").images == images.train_size


@pytest.mark.slow
@pytest.mark.full
def test_every_runtime_gives_the_same_report(model, file, folder, tmp_path):
    samples = np.zeros((1, 6, 6, 3), np.float32)
    labels = ("blue", "green", "red")
    made = kb.export_model(
        model,
        tmp_path,
        ["tflite", "onnx", "saved_model"],
        labels=labels,
        preprocessing=kb.Preprocessing((6, 6)),
        verify=samples,
    )
    expected = evaluate(file, folder, subset="both")
    for artifact in made.artifacts:
        report = evaluate(artifact.path, folder, subset="both")
        assert report.classes == expected.classes
        assert report.loss == pytest.approx(expected.loss, rel=1e-5)


def test_folders_with_some_of_the_classes_are_matched_by_name(file, folder, tmp_path):
    for name in ("red", "green"):
        (tmp_path / name).mkdir()
        for source in (folder / name).iterdir():
            (tmp_path / name / source.name).write_bytes(source.read_bytes())
    report = evaluate(file, tmp_path, subset="both")
    assert [one.label for one in report.classes] == ["green", "red"]
    assert report.top1 == pytest.approx(8 / 9)
    (tmp_path / "pink").mkdir()
    Image.new("RGB", (6, 6)).save(tmp_path / "pink" / "0.png")
    with pytest.raises(ValueError, match="Received: pink"):
        evaluate(file, tmp_path, subset="both")


def test_top5_counts_where_there_are_more_classes(folder, tmp_path):
    image = keras.Input((6, 6, 3))
    head = keras.layers.Dense(7, activation="softmax")
    network = keras.Model(image, head(keras.layers.GlobalAveragePooling2D()(image)))
    # Whatever is seen, the ranking is 0, 1, 2, ...
    head.set_weights([np.zeros((3, 7)), np.arange(7)[::-1]])
    labels = ("a", "b", "red", "c", "d", "green", "blue")
    path = kb.export.save_model(network, tmp_path / "seven.keras", labels, kb.Preprocessing((6, 6)))
    report = evaluate(path, folder, subset="both")
    assert (report.top1, report.top5) == (0.0, pytest.approx(5 / 13))


def test_any_model_is_evaluated_on_any_data(model, file, folder):
    expected = evaluate(file, folder, subset="both")
    images = kb.data.image_folder(
        folder, batch_size=4, subset="both", preprocessing=kb.Preprocessing((6, 6))
    )
    parts = [part for part in (images.train, images.validation) if part is not None]
    pairs = [pair for part in parts for pair in part.as_numpy_iterator()]
    arrays = tuple(np.concatenate(column) for column in zip(*pairs, strict=True))
    for network in (file, model):
        for data in (images, pairs, arrays):
            report = evaluate(network, data, subset="both")
            assert report.figures == pytest.approx(expected.figures, rel=1e-5)
            named = network is file or data is images
            labels = [one.label for one in report.classes]
            assert labels == (["blue", "green", "red"] if named else ["0", "1", "2"])
            assert (
                str(report)
                .strip()
                .startswith(f"{'colour.keras' if network is file else 'The model'} on 13")
            )


def test_a_new_metric_is_one_row(file, folder, monkeypatch):
    def sureness(evaluation):
        return float(evaluation.answers.probabilities.max(-1).mean())

    monkeypatch.setitem(METRICS, "sureness", Metric("how sure", sureness, "{:.2f}".format))
    report = evaluate(file, folder, subset="both")
    assert report.figures["sureness"] == pytest.approx(SURE, rel=1e-5)
    assert any("how sure" in line and f"{SURE:.2f}" in line for line in str(report).splitlines())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((2, 6, 6, 3)), "`data` must be images with labels"),
        (
            (np.zeros((2, 6, 6, 3)), np.array([0, 3])),
            "the model's 3 classes.* from 0 to 3",
        ),
        ((np.zeros((2, 7, 6, 3)), np.array([0, 1])), "`data` must hold batches of images"),
        ([], "`data` must be images with labels, at least one"),
    ],
)
def test_data_that_do_not_fit_are_refused(model, data, message):
    with pytest.raises(ValueError, match=message):
        evaluate(model, data)


def test_an_artifact_that_knows_no_preprocessing_is_refused(model, folder, tmp_path):
    path = kb.export.save_model(model, tmp_path / "bare.keras")
    with pytest.raises(ValueError, match="says how images become its input"):
        evaluate(path, folder)
