"""A file is opened at once where the manifest beside it has its hash, and refused where another."""

import json
import shutil

import pytest

from keras_bottleneck.runtime import load, manifest

KINDS = ["tflite", "onnx", "keras", "saved_model"]


def listed(path, **changes):
    """Writes a manifest that lists `path`."""
    entry = {"sha256": manifest.sha256_of(path), "size": manifest.size_of(path), **changes}
    content = {"format": manifest.FORMAT, "artifacts": {path.name: entry}}
    (path.parent / manifest.MANIFEST).write_text(json.dumps(content))
    return path


def vouched(path):
    return manifest.vouches_for(path)


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_changed_is_refused(copied, kind):
    path = listed(copied(kind))
    assert vouched(path)
    model = path / "saved_model.pb" if path.is_dir() else path
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(
        ValueError, match="^`path` must be the artifact that manifest.json "
    ) as error:
        load(path)
    assert "export again, or move it to another folder" in str(error.value)
    assert str(error.value).endswith(f"Received: path={str(path)!r}")
    assert "\n" not in str(error.value)
    model.write_bytes(whole)
    load(path)


def test_a_file_more_in_a_listed_folder_is_a_change(copied):
    path = listed(copied("saved_model"))
    (path / "assets.extra").mkdir(exist_ok=True)
    (path / "assets.extra" / "more").touch()
    with pytest.raises(ValueError, match="has another sha256"):
        load(path)


def test_a_link_in_the_place_of_a_folder_is_a_change(copied):
    """TensorFlow would follow it to what no hash is of."""
    path = listed(copied("saved_model"))
    shutil.move(path / "variables", path.parent / "elsewhere")
    (path / "variables").symlink_to(path.parent / "elsewhere")
    with pytest.raises(ValueError, match="has another sha256"):
        load(path)


def test_a_relative_path_is_vouched_for_too(copied, monkeypatch):
    path = listed(copied("tflite"))
    monkeypatch.chdir(path.parent)
    assert vouched(type(path)(path.name))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2, "artifacts": {}}',
        '{"format": 1, "artifacts": []}',
        '{"format": 1, "artifacts": {"tiny.tflite": 3}}',
        '{"name": "a web app", "icons": []}',
        "[" * 100_000,
        '{"format": 1, "artifacts": {"../tiny.tflite": {}}}',
        '{"format": 1, "artifacts": {"/tmp/tiny.tflite": {}}}',
        "\xff",
    ],
    ids=range(11),
)
def test_a_manifest_that_is_not_ours_vouches_for_nothing(copied, text):
    path = copied("tflite")
    (path.parent / manifest.MANIFEST).write_text(text, "latin-1")
    assert not vouched(path)
    with pytest.raises(ValueError, match="^`directory` must hold no manifest.json but one that "):
        manifest.read(path.parent)


@pytest.mark.parametrize("changes", [{"sha256": None}, {"size": "12"}, {"sha256": "0" * 64}])
def test_an_entry_without_the_hash_is_a_change(copied, changes):
    with pytest.raises(ValueError, match="has another sha256"):
        vouched(listed(copied("tflite"), **changes))
