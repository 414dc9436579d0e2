"""From images to labels: forms of input, order, softmax, and errors."""

import numpy as np
import pytest
from PIL import Image

from keras_bottleneck.runtime import Metadata, Predictor, load, metadata

LABELS = ("ant", "bee", "cat", "dögs")


@pytest.fixture(scope="module")
def predictor(artifacts):
    return load(artifacts["tflite"])


def test_fields(predictor, artifacts, about):
    assert isinstance(predictor, Predictor)
    assert predictor.path == artifacts["tflite"]
    assert predictor.metadata == about
    assert predictor.labels == LABELS
    assert predictor.preprocessing == about.preprocessing
    assert predictor.input_shape == (1, 12, 10, 3)
    assert (predictor.input_name, predictor.output_name) == ("image", "probabilities")


def test_one_image_gives_labels_best_first(predictor, images):
    result = predictor(images[0], top=3)
    probabilities = predictor.probabilities(images[0])
    assert probabilities.shape == (1, 4)
    order = sorted(range(4), key=lambda index: -probabilities[0, index])[:3]
    assert result == [(LABELS[index], float(probabilities[0, index])) for index in order]
    assert all(type(probability) is float for _, probability in result)


def test_top_beyond_the_classes_gives_all(predictor, images):
    assert sorted(label for label, _ in predictor(images[0], top=99)) == sorted(LABELS)


def test_every_form_of_one_image_gives_the_same(predictor, images, tmp_path):
    expected = predictor(images[0])
    pil = Image.fromarray(images[0])
    pil.save(tmp_path / "image.png")
    forms = [pil, tmp_path / "image.png", str(tmp_path / "image.png"), images[0].astype(np.float32)]
    assert [predictor(form) for form in forms] == [expected] * 4


def test_many_images_give_a_list_of_lists(predictor, images):
    expected = [predictor(image) for image in images]
    assert predictor(images) == expected
    assert predictor(tuple(images)) == expected
    assert predictor(np.stack([images[0]] * 3)) == [expected[0]] * 3
    assert predictor([images[1]]) == [expected[1]]


def test_more_images_than_a_batch(bare):
    predictor = load(bare(batch_size=None)["onnx"])
    many = np.random.default_rng(0).normal(size=(70, 12, 10, 3)).astype(np.float32)
    singles = np.concatenate([predictor.probabilities(image) for image in many])
    assert np.abs(predictor.probabilities(many) - singles).max() <= 1e-6
    assert len(np.unique(singles[:, 0])) > 5


def test_logits_become_probabilities(bare, artifacts, about, tmp_path, images):
    path = tmp_path / "logits.onnx"
    path.write_bytes(bare("logits")["onnx"].read_bytes())
    metadata.write(path, Metadata("tiny", LABELS, about.preprocessing, "image", "logits"))
    predictor, expected = load(path), load(artifacts["onnx"])
    assert np.abs(predictor.probabilities(images) - expected.probabilities(images)).max() <= 1e-6
    assert predictor(images[0])[0][0] == expected(images[0])[0][0]


def test_softmax_of_huge_logits_is_finite(bare):
    predictor = load(bare("logits")["onnx"])
    image = np.full((12, 10, 3), 1e6, np.float32)
    assert np.abs(predictor.run(image[None])).max() > 1e5
    probabilities = predictor.probabilities(image)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-6)


def test_without_metadata_values_pass_as_they_are(bare, images, tmp_path):
    predictor = load(bare()["tflite"])
    assert (predictor.metadata, predictor.labels, predictor.preprocessing) == (None, None, None)
    small = images[1] / np.float32(64)
    np.testing.assert_array_equal(predictor.probabilities(small), predictor.run(small[None]))
    Image.fromarray(images[1]).save(tmp_path / "image.png")
    raw = predictor.run(images[1][None].astype(np.float32))
    np.testing.assert_array_equal(predictor.probabilities(tmp_path / "image.png"), raw)
    assert sorted(label for label, _ in predictor(small)) == ["0", "1", "2", "3"]


def test_without_preprocessing_the_size_must_fit(bare, images):
    with pytest.raises(ValueError, match=r"^`image` must be an image of shape \(12, 10, 3\)\. Rec"):
        load(bare()["tflite"])(images[0])


@pytest.mark.parametrize("top", [0, -1, 2.0, "5", True])
def test_wrong_top(predictor, images, top):
    with pytest.raises(ValueError, match="^`top` must be an integer of at least 1"):
        predictor(images[0], top=top)


@pytest.mark.parametrize("images", [[], np.zeros((0, 4, 4, 3), np.uint8)])
def test_no_images(predictor, images):
    with pytest.raises(ValueError, match="^`images` must be one image or more"):
        predictor(images)


@pytest.mark.parametrize("image", [None, 3, {}, "missing.jpg", np.zeros((4, 4, 2), np.uint8)])
def test_wrong_image(predictor, image):
    for given in (image, [image]):
        with pytest.raises(ValueError, match="^`image` must be "):
            predictor(given)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 12, 10, 3), np.uint8),
        np.zeros((12, 10, 3), np.float32),
        np.zeros((2, 10, 12, 3), np.float32),
        np.zeros((0, 12, 10, 3), np.float32),
        np.float32(1),
        "batch",
    ],
)
def test_wrong_batch(predictor, batch):
    with pytest.raises(ValueError, match=r"^`batch` must be a float array of shape \(1, 12, 10, 3"):
        predictor.run(batch)


def test_labels_must_fit_the_classes(copied, about, images):
    path = copied("tflite")
    metadata.write(path, Metadata("tiny", LABELS[:3], about.preprocessing))
    with pytest.raises(ValueError, match="3 labels for 4 classes") as error:
        load(path)(images[0])
    assert str(path) in str(error.value)


def test_preprocessing_must_fit_the_model(copied):
    from keras_bottleneck.preprocessing import Preprocessing

    path = copied("onnx")
    metadata.write(path, Metadata("tiny", LABELS, Preprocessing((10, 12))))
    with pytest.raises(ValueError, match=r"makes \(10, 12, 3\), the model takes \(12, 10, 3\)"):
        load(path)


def test_repr_says_what_it_is(predictor):
    assert "tiny.tflite" in repr(predictor) and "probabilities" in repr(predictor)
