"""What has been measured is taken from before only where nothing has changed."""

import keras
import numpy as np
import pytest

import keras_bottleneck as kb
from keras_bottleneck.benchmarking.store import Store, digest, fingerprint, is_whole
from keras_bottleneck.runtime import manifest


@pytest.fixture
def model():
    return kb.ResNet("basic", (1,), filters=(8,), stem="cifar", input_shape=(16, 16, 3), classes=3)


def test_a_slot_holds_what_was_kept_last(tmp_path):
    store = Store(tmp_path / "new")
    assert store.find("net/row.json", "a") is None
    store.keep("net/row.json", "a", {"p50_ms": 1.5})
    assert store.find("net/row.json", "a") == {"p50_ms": 1.5}
    store.keep("net/row.json", "b", {"p50_ms": 2.5})
    assert store.find("net/row.json", "a") is None
    assert [path.name for path in (tmp_path / "new" / "net").iterdir()] == ["row.json"]


def test_an_artifact_that_has_changed_is_not_whole(tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(b"whole")
    found = {"file": path.name, "sha256": manifest.sha256_of(path)}
    assert is_whole(tmp_path, found)
    path.write_bytes(b"torn")
    assert not is_whole(tmp_path, found)
    path.unlink()
    assert not is_whole(tmp_path, found)
    assert not is_whole(tmp_path, {})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"key": "a"}', '{"key": "a", "found": 1}', "[" * 100_000],
    ids=range(7),
)
def test_a_damaged_slot_is_an_empty_one(text, tmp_path):
    (tmp_path / "row.json").write_text(text)
    assert Store(tmp_path).find("row.json", "a") is None


def test_the_hash_tells_values_shapes_and_types_apart():
    numbers = np.arange(6, dtype=np.float32)
    other = [numbers + 1, numbers.reshape(2, 3), numbers.astype(np.int32), numbers[::-1]]
    hashes = {digest(array) for array in (numbers, *other)} | {digest({"a": 1}), digest({"a": "1"})}
    assert len(hashes) == 7
    assert digest(numbers[::-1]) == digest(numbers[::-1].copy())


def test_a_model_that_was_saved_and_compiled_is_the_same(model, tmp_path):
    before = fingerprint(model, None)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.zeros((2, 16, 16, 3)), np.zeros(2), epochs=0, verbose=0)
    assert fingerprint(model, None) == before
    kb.export.save_model(model, tmp_path / "model.keras")
    loaded, _ = kb.export.load_model(tmp_path / "model.keras")
    assert fingerprint(loaded, None) == before


def test_one_weight_one_stride_and_one_label_make_another_model(model, tmp_path):
    found = {fingerprint(model, None)}
    kb.export.save_model(model, tmp_path / "model.keras", labels=("a", "b", "c"))
    carried = kb.export.load_model(tmp_path / "model.keras")[1]
    found.add(fingerprint(model, carried.labels, carried.preprocessing))
    copy = keras.models.clone_model(model)
    weights = model.get_weights()
    weights[0][0, 0, 0, 0] += 1e-6
    copy.set_weights(weights)
    found.add(fingerprint(copy, None))
    strided = [
        keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, strides=stride)])
        for stride in (1, 2)
    ]
    strided[1].set_weights(strided[0].get_weights())
    found |= {fingerprint(one, None) for one in strided}
    assert len(found) == 5
