"""The figures of each task against scikit-learn's, and `evaluate` on files and folders of each."""

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck.data import Folder, image_folder
from keras_bottleneck.evaluation import Answers, Evaluation, evaluate
from keras_bottleneck.evaluation.metrics import measured

RNG = np.random.default_rng(0)
COUNT = 200

pytest.importorskip("tensorflow", reason="images are read with tf.data")

metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")


def figures(outputs, truth, output_name="probabilities", task="classification"):
    found = measured(Evaluation(Answers(outputs, output_name, task), truth))
    return {name: value for name, value in found.items() if value is not None}


def test_classes_of_unequal_sizes():
    truth = RNG.choice(3, COUNT, p=[0.8, 0.15, 0.05])
    outputs = RNG.dirichlet(np.ones(3), COUNT)
    outputs[np.arange(COUNT), truth] += 0.4
    found = figures(outputs, truth)
    predicted = outputs.argmax(1)
    assert found["top1"] == pytest.approx(metrics.accuracy_score(truth, predicted))
    wanted = metrics.balanced_accuracy_score(truth, predicted)
    assert found["balanced_accuracy"] == pytest.approx(wanted)
    assert not {"auc", "f1", "mae", "label_accuracy"} & set(found)


@pytest.mark.parametrize("output_name", ["probabilities", "logits"])
@pytest.mark.parametrize("rounding", [None, 1])
def test_two_classes_by_one_output(output_name, rounding):
    """Confident outputs crowd together at the ends, and rounded ones tie."""
    truth = RNG.integers(0, 2, COUNT)
    logits = 6 * (truth + RNG.normal(size=COUNT)) - 3
    outputs = logits if output_name == "logits" else 1 / (1 + np.exp(-logits))
    outputs = (outputs if rounding is None else outputs.round(rounding))[:, None]
    found = figures(outputs, truth, output_name)
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(truth, outputs[:, 0]), abs=1e-5)
    decided = outputs[:, 0] > (0 if output_name == "logits" else 0.5)
    assert found["top1"] == pytest.approx(np.mean(decided == truth))
    assert "auc" not in figures(outputs, np.zeros(COUNT, int), output_name)


@pytest.mark.parametrize("output_name", ["probabilities", "logits"])
def test_several_labels(output_name):
    truth = (RNG.random((COUNT, 3)) < [0.5, 0.2, 0.05]).astype(np.float32)
    logits = 3 * truth - 1.5 + RNG.normal(size=truth.shape)
    probabilities = 1 / (1 + np.exp(-logits))
    outputs = logits if output_name == "logits" else probabilities
    found = figures(outputs, truth, output_name, "multi-label")
    decided = probabilities >= 0.5
    assert found["label_accuracy"] == pytest.approx(np.mean(decided == truth))
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, decided, average="macro"))
    assert found["loss"] == pytest.approx(metrics.log_loss(truth.ravel(), probabilities.ravel()))
    # scikit-learn sums steps; Keras interpolates between them (Davis & Goadrich 2006).
    steps = metrics.average_precision_score(truth, probabilities)
    assert found["mean_average_precision"] == pytest.approx(steps, abs=0.02)
    assert not {"top1", "top5", "auc", "mae"} & set(found)
    evaluation = Evaluation(
        Answers(outputs, output_name, "multi-label"), truth, labels=("a", "b", "c")
    )
    for index, result in enumerate(evaluation.by_class()):
        assert result.recall == pytest.approx(
            metrics.recall_score(truth[:, index], decided[:, index])
        )
        wanted = metrics.precision_score(truth[:, index], decided[:, index])
        assert result.precision == pytest.approx(wanted)
    right = (1 - truth) * 0.1 + truth * 0.9
    assert figures(right, truth, task="multi-label")["mean_average_precision"] == pytest.approx(1)


def test_numbers():
    truth = RNG.normal(size=(COUNT, 2)) * [5, 0.1] + [40, 1]
    outputs = truth + RNG.normal(size=truth.shape) * [1, 0.05]
    found = figures(outputs, truth, "logits", "regression")
    assert set(found) == {"mae", "r2"}
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, outputs), rel=1e-5)
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, outputs), abs=1e-4)
    constant = figures(outputs[:, :1], np.ones((COUNT, 1)), "logits", "regression")
    assert set(constant) == {"mae"}


def test_mean_of_the_labels_that_occur():
    """A label without an image has no precision to speak of, as in VOC's mean."""
    truth = np.array([[1, 0], [0, 0]], np.float32)
    found = figures(np.array([[0.9, 0.3], [0.2, 0.1]]), truth, task="multi-label")
    assert found["mean_average_precision"] == pytest.approx(1)


def network(width, activation):
    return kb.ResNet(
        "basic",
        (1,),
        filters=(8,),
        stem="cifar",
        input_shape=(12, 12, 3),
        classes=width,
        classifier_activation=activation,
        preprocessing=kb.Preprocessing(12),
        name="small",
    )


@pytest.fixture
def folder(tmp_path):
    from PIL import Image

    def write(heading, rows):
        for index in range(len(rows)):
            pixels = RNG.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{index}.png")
        lines = [f"{index}.png,{','.join(map(str, row))}" for index, row in enumerate(rows)]
        (tmp_path / "labels.csv").write_text("\n".join([f"file,{heading}", *lines]))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("heading", "rows", "width", "activation", "labels", "expected"),
    [
        (
            "red,old",
            [[0, 1], [1, 1], [1, 0], [0, 0]] * 5,
            2,
            "sigmoid",
            ("old", "red"),
            {"f1", "loss"},
        ),
        ("age,size", [[i / 2, 9 - i] for i in range(20)], 2, None, ("age", "size"), {"mae", "r2"}),
        ("class", [["a"], ["b"]] * 10, 1, "sigmoid", ("a", "b"), {"top1", "auc", "loss"}),
    ],
)
def test_files_and_folders_of_each_task(
    folder, tmp_path, heading, rows, width, activation, labels, expected
):
    path = folder(heading, rows)
    data = image_folder(path, preprocessing=kb.Preprocessing(12))
    model = network(width, activation)
    file = kb.export.save_model(model, tmp_path / "small.keras", labels, task=data.task)
    report = evaluate(file, path, subset="both")
    assert report.task == data.task and report.images == 20
    assert expected <= set(report.figures)
    assert report.top1 == report.figures.get("top1")
    assert (
        evaluate(file, Folder(path, labels=path / "labels.csv"), subset="both").figures
        == report.figures
    )
    in_memory = evaluate(model, data, subset="both", task=data.task)
    if labels == data.class_names:
        assert in_memory.figures == pytest.approx(report.figures, rel=1e-4)
    assert str(report)
    # The labels of the file are in another order than the columns of the table.
    if heading == "red,old":
        by_name = {result.label: result.images for result in report.classes}
        assert by_name == {"red": 10, "old": 10}
        truth = np.array(rows)
        outputs = kb.runtime.load(file).probabilities(
            [path / f"{index}.png" for index in range(20)]
        )
        recall = {result.label: result.recall for result in report.classes}
        for place, name in enumerate(labels):
            own = truth[:, ("red", "old").index(name)] == 1
            assert recall[name] == pytest.approx(np.mean(outputs[own, place] >= 0.5))


def test_the_test_part_is_measured_where_there_is_one(folder):
    parts = ("train", "val", "test", "test")
    cells = [["ab"[index // 4 % 2], parts[index % 4]] for index in range(20)]
    path = folder("class,part", cells)
    model = network(2, "softmax")
    assert evaluate(model, path).subset == "test"
    assert evaluate(model, path).images == 10
    assert evaluate(model, path, subset="validation").images == 5
    assert evaluate(model, path, subset="both").images == 20


def test_data_of_another_task_are_refused(folder):
    path = folder("red,old", [[0, 1], [1, 1], [1, 0], [0, 0]] * 5)
    with pytest.raises(ValueError, match="^`data` must be images for classification. Received"):
        evaluate(network(2, "softmax"), path)
    images = RNG.random((4, 12, 12, 3)).astype("float32")
    with pytest.raises(
        ValueError, match="^`data` must hold a row of 0 and 1.* Received: 0.5 among"
    ):
        evaluate(network(2, "sigmoid"), (images, np.full((4, 2), 0.5)))
    with pytest.raises(ValueError, match="^`data` must be rows of 2 labels"):
        evaluate(network(2, "sigmoid"), (images, np.ones((4, 3))))
    with pytest.raises(ValueError, match="^`task` must be one of"):
        evaluate(network(2, "sigmoid"), (images, np.ones((4, 2))), task="boxes")


@pytest.mark.parametrize(
    ("columns", "loss", "task"),
    [
        (1, "mean_squared_error", "regression"),
        (2, "huber", "regression"),
        (3, keras.losses.BinaryCrossentropy(from_logits=True), "multi-label"),
        (3, keras.losses.SparseCategoricalCrossentropy(from_logits=True), "classification"),
    ],
)
def test_copies_keep_the_task_that_the_loss_tells(tmp_path, columns, loss, task):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    model = keras.Model(image, keras.layers.Dense(columns)(x))
    model.compile(loss=loss)
    rng = np.random.default_rng(0)
    images, rows = rng.random((100, 8, 8, 3), np.float32), rng.integers(0, 2, (100, columns))
    labels = rows[:, 0] if task == "classification" else rows
    for copy in (kb.fold(model), kb.quantize(model, images)):
        copy.save(tmp_path / "copy.keras")
        for one in (copy, keras.models.load_model(tmp_path / "copy.keras")):
            assert evaluate(one, (images, labels)).task == task
    report = kb.export_model(copy, tmp_path, ["tflite_int8"], verify=(images, labels))
    assert kb.runtime.load(report["tflite_int8"].path).task == task
