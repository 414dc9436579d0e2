"""Files that are damaged, or made to do harm: one sentence, nothing run, the model as it was."""

import json
import os
import pickle
import resource
import struct
import time
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from keras_bottleneck import weights
from keras_bottleneck.weights import keras_files

from . import networks
from .networks import basic, torchvision_state

# Also what files of our own names do not tell.
TOLD = {**networks.TOLD, "padding": "symmetric"}

GIGABYTE = 2**30
KINDS = ("a.safetensors", "a.keras", "a.weights.h5", "a.h5")
TORCH_KINDS = ("zip.pth", "legacy.pth")
COMMON = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def model(trained):
    """One for all tests: whatever is refused leaves it as it is."""
    return trained(basic(), seed=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, trained):
    """A whole file of each kind with the weights of one network."""
    made = tmp_path_factory.mktemp("whole")
    source = trained(basic(), seed=6)
    weights.save(source, made / "a.safetensors", "keras")
    source.save(made / "a.keras")
    source.save(made / "a.h5")
    source.save_weights(made / "a.weights.h5")
    return made


@pytest.fixture
def at_once(monkeypatch):
    """Without the process that reads HDF5 first, which would be started for every change."""
    monkeypatch.setattr(keras_files, "admit", lambda path: None)


@pytest.fixture(scope="module")
def torch_folder(tmp_path_factory):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    made = tmp_path_factory.mktemp("torch")
    state = {name: torch.from_numpy(one) for name, one in torchvision_state().items()}
    for name in TORCH_KINDS:
        torch.save(state, made / name, _use_new_zipfile_serialization=name == "zip.pth")
    return made


@pytest.fixture
def bounded():
    """Time and memory of a refusal: a bomb of gigabytes would show."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert peak - before < GIGABYTE // 2


def rewritten(source, target, change):
    """A copy of an HDF5 file in which `change(file)` has been made."""
    target.write_bytes(source.read_bytes())
    with h5py.File(target, "r+") as file:
        change(file)
    return target


def stem_norm(file):
    """The variables of the first batch norm in a file of Keras 3."""
    found = []

    def visit(name, group):
        if name.endswith("vars") and group.attrs.get("name") == "stem_bn":
            found.append(group)

    file.visititems(visit)
    return found[0]


def replace(group, name, **dataset):
    del group[name]
    return group.create_dataset(name, **dataset)


# Pickles.


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("name", [*KINDS, "a.pth", "a.th", "a.pt"])
def test_a_bare_pickle_is_never_run(refused, model, tmp_path, name):
    marker = tmp_path / "marker"
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"state_dict": Payload(marker)}))
    try:
        refused(model, path, **TOLD)
    except ImportError as error:
        assert name.startswith("a.p") or name == "a.th"
        assert "pip install torch" in str(error)
    assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists()  # it would have


@pytest.mark.slow
@pytest.mark.parametrize("where", ["instead of a tensor", "beside the tensors", "instead of all"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_pickle_of_torch_is_never_run(refused, model, tmp_path, zipped, where):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    marker = tmp_path / "marker"
    state = {name: torch.from_numpy(one) for name, one in torchvision_state().items()}
    hostile = {
        "instead of a tensor": {**state, "fc.bias": Payload(marker)},
        "beside the tensors": {"state_dict": state, "epoch": Payload(marker)},
        "instead of all": Payload(marker),
    }[where]
    torch.save(hostile, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    message = refused(model, tmp_path / "a.pth", **TOLD)
    assert "holds other objects than tensors" in message
    assert not marker.exists()
    torch.load(tmp_path / "a.pth", weights_only=False)
    assert marker.exists()  # it would have


def test_a_keras_archive_builds_nothing(refused, model, folder, tmp_path):
    """Its configuration is read as text: a Lambda in it, or any class, stays a word."""
    target = tmp_path / "a.keras"
    with zipfile.ZipFile(folder / "a.keras") as source, zipfile.ZipFile(target, "w") as archive:
        config = json.loads(source.read("config.json"))
        config["config"]["layers"].append({"class_name": "Lambda", "module": "os", "config": {}})
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", source.read("model.weights.h5"))
    weights.load(basic(), target)


# Damage.


@pytest.mark.parametrize("name", KINDS)
def test_garbage(refused, model, tmp_path, name):
    path = tmp_path / name
    for content in (
        b"",
        b"\0" * 5000,
        b"version https://git-lfs.github.com/spec/v1\n",
        b"<!DOCTYPE html><html>404</html>",
        np.random.default_rng(0).bytes(5000),
    ):
        path.write_bytes(content)
        assert "must be a whole " in refused(model, path, **TOLD)


@pytest.mark.parametrize("name", KINDS)
def test_one_kind_of_file_under_the_name_of_another(refused, model, folder, tmp_path, name):
    for other in KINDS:
        if name.rpartition(".")[2] != other.rpartition(".")[2]:
            path = tmp_path / name
            path.write_bytes((folder / other).read_bytes())
            assert "must be a whole " in refused(model, path, **TOLD)


def cut(path, target, count=25):
    """Copies of a file that end early: at its very start, its very end, and between."""
    whole = path.read_bytes()
    lengths = {1, 7, 8, 9, 64, len(whole) - 1, len(whole) - 8, len(whole) - 30}
    lengths |= {int(part * len(whole)) for part in np.linspace(0.001, 0.999, count)}
    for length in sorted(lengths):
        target.write_bytes(whole[:length])
        yield length


@pytest.mark.parametrize("name", KINDS)
def test_truncated(at_once, refused, model, folder, tmp_path, name):
    for _ in cut(folder / name, tmp_path / name):
        refused(model, tmp_path / name, **TOLD)


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCH_KINDS)
def test_truncated_files_of_torch(refused, model, torch_folder, tmp_path, name):
    for _ in cut(torch_folder / name, tmp_path / name):
        refused(model, tmp_path / name, **TOLD)


def flipped_or_refused(whole, path, flips, refused, model):
    """Loads a file with some bytes changed: it is refused, or its numbers are what it says."""
    content = bytearray(whole)
    for place, mask in flips:
        content[place % len(content)] ^= mask
    path.write_bytes(content)
    try:
        weights.load(model, path, **TOLD)
    except ValueError:
        refused(model, path, **TOLD)
    else:
        assert all(np.isfinite(one).all() for one in model.get_weights())


FLIPS = st.lists(st.tuples(st.integers(0, 2**31), st.integers(1, 255)), min_size=1, max_size=5)


@pytest.mark.parametrize("name", KINDS)
def test_flipped_bytes(at_once, refused, model, folder, tmp_path, name):
    whole = (folder / name).read_bytes()

    @given(FLIPS)
    @settings(COMMON, max_examples=25)
    def run(flips):
        flipped_or_refused(whole, tmp_path / name, flips, refused, model)

    run()


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("name", KINDS)
def test_many_flipped_bytes(at_once, refused, model, folder, tmp_path, name):
    """Most of the structure of a file is at its start."""
    whole = (folder / name).read_bytes()
    starts = st.tuples(st.integers(0, 2000), st.integers(1, 255))

    @given(st.one_of(FLIPS, st.lists(starts, min_size=1, max_size=3)))
    @settings(COMMON, max_examples=150)
    def run(flips):
        flipped_or_refused(whole, tmp_path / name, flips, refused, model)

    run()


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCH_KINDS)
def test_flipped_bytes_in_files_of_torch(refused, model, torch_folder, tmp_path, name):
    whole = (torch_folder / name).read_bytes()

    @given(FLIPS)
    @settings(COMMON, max_examples=100)
    def run(flips):
        flipped_or_refused(whole, tmp_path / name, flips, refused, model)

    run()


# Bombs.


@pytest.fixture(scope="module")
def bomb(tmp_path_factory, folder):
    """A `.keras` archive whose weights unpack to a gigabyte."""
    path = tmp_path_factory.mktemp("bomb") / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("model.weights.h5", "w") as file:
            for _ in range(GIGABYTE // 2**24):
                file.write(bytes(2**24))
        with zipfile.ZipFile(folder / "a.keras") as whole:
            archive.writestr("config.json", whole.read("config.json"))
    assert path.stat().st_size < 2**23
    return path


def test_a_zip_bomb(refused, model, bomb, bounded):
    message = refused(model, bomb, **TOLD)
    assert "model.weights.h5 unpacks to 1,073,741,824 bytes" in message


def test_a_zip_bomb_that_says_it_is_small(refused, model, bomb, tmp_path, bounded):
    content = bytearray(bomb.read_bytes())
    size = struct.pack("<I", GIGABYTE)
    places = [at for at in range(len(content) - 400, len(content)) if content[at : at + 4] == size]
    assert places
    for at in places:
        content[at : at + 4] = struct.pack("<I", 4096)
    (tmp_path / "a.keras").write_bytes(content)
    refused(model, tmp_path / "a.keras", **TOLD)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
def test_compression_that_keras_has_no_use_for(refused, model, folder, tmp_path, method):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(folder / "a.keras") as whole, zipfile.ZipFile(path, "w", method) as new:
        for name in whole.namelist():
            new.writestr(name, whole.read(name))
    assert "compressed" in refused(model, path, **TOLD)


def test_a_deflated_archive_of_honest_size(folder, tmp_path):
    """As a tool that packs files anew leaves it."""
    path = tmp_path / "a.keras"
    with (
        zipfile.ZipFile(folder / "a.keras") as whole,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in whole.namelist():
            new.writestr(name, whole.read(name))
    weights.load(basic(), path)


def test_a_huge_configuration(refused, model, folder, tmp_path, bounded):
    path = tmp_path / "a.keras"
    with (
        zipfile.ZipFile(folder / "a.keras") as whole,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        new.writestr("model.weights.h5", whole.read("model.weights.h5"))
        new.writestr("config.json", b"[" * 2**26)
    assert "config.json unpacks to" in refused(model, path, **TOLD)


def test_a_deep_configuration(refused, model, folder, tmp_path, bounded):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(folder / "a.keras") as whole, zipfile.ZipFile(path, "w") as new:
        new.writestr("model.weights.h5", whole.read("model.weights.h5"))
        new.writestr("config.json", '{"a":' * 100_000 + "1" + "}" * 100_000)
    refused(model, path, **TOLD)


@pytest.mark.slow
def test_a_zip_bomb_of_torch(refused, model, torch_folder, tmp_path, bounded):
    """A tensor's bytes deflated: PyTorch stores them as they are."""
    for size in (2 * GIGABYTE, None):
        path = tmp_path / "a.pth"
        with (
            zipfile.ZipFile(torch_folder / "zip.pth") as whole,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
        ):
            for name in whole.namelist():
                if size and name.endswith("/data/0"):
                    with new.open(name, "w", force_zip64=True) as file:
                        for _ in range(size // 2**24):
                            file.write(bytes(2**24))
                else:
                    new.writestr(name, whole.read(name))
        message = refused(model, path, **TOLD)
        assert "it unpacks to 2," in message or "it is compressed" in message


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_pickle_that_asks_for_memory(refused, model, tmp_path, bounded, zipped):
    """PyTorch lets a file call `bytearray`, with any number."""
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class Greedy:
        def __reduce__(self):
            return bytearray, (2 * GIGABYTE,)

    state = {name: torch.from_numpy(one) for name, one in torchvision_state().items()}
    state["more"] = Greedy()
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert "it asks for memory" in refused(model, tmp_path / "a.pth", **TOLD)


# HDF5.

FILTERS = {"shape": (2**34,), "chunks": (2**20,), "compression": "gzip", "dtype": "f4"}


def test_a_huge_compressed_dataset(refused, model, folder, tmp_path, bounded):
    path = rewritten(
        folder / "a.weights.h5",
        tmp_path / "a.weights.h5",
        lambda file: replace(stem_norm(file), "0", **FILTERS),
    )
    assert "is compressed" in refused(model, path, **TOLD)


def test_a_huge_dataset_that_was_never_written(refused, model, folder, tmp_path, bounded):
    path = rewritten(
        folder / "a.weights.h5",
        tmp_path / "a.weights.h5",
        lambda file: replace(stem_norm(file), "0", shape=(2**38,), dtype="f4"),
    )
    assert "stem_bn/gamma of shape (274877906944,) instead of (4,)" in refused(model, path, **TOLD)


def test_a_dataset_of_the_right_shape_in_a_huge_chunk(refused, model, folder, tmp_path, bounded):
    def change(file):
        chunk = {"maxshape": (None,), "chunks": (2**29,), "compression": "gzip"}
        replace(stem_norm(file), "0", shape=(4,), dtype="f4", **chunk)

    path = rewritten(folder / "a.weights.h5", tmp_path / "a.weights.h5", change)
    assert "is compressed" in refused(model, path, **TOLD)


def test_huge_elements(refused, model, folder, tmp_path, bounded):
    def change(file):
        replace(stem_norm(file), "0", shape=(4,), dtype=f"S{2**30}")

    path = rewritten(folder / "a.weights.h5", tmp_path / "a.weights.h5", change)
    assert "stem_bn/gamma (dtype |S1073741824)" in refused(model, path, **TOLD)


@pytest.fixture
def elsewhere(folder, tmp_path):
    """Another file with the numbers that are missing."""
    path = tmp_path / "elsewhere.h5"
    path.write_bytes((folder / "a.weights.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file["gamma"] = np.ones(4, np.float32)
    (tmp_path / "raw").write_bytes(np.ones(4, np.float32).tobytes())
    return path


def links(elsewhere):
    """Ways to have the first scale lie in another file."""

    def linked(link):
        def change(file):
            group = stem_norm(file)
            del group["0"]
            group["0"] = link

        return change

    def virtual(file):
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource(elsewhere, "gamma", (4,))
        group = stem_norm(file)
        del group["0"]
        group.create_virtual_dataset("0", layout)

    def external(file):
        where = [(str(elsewhere.parent / "raw"), 0, 16)]
        replace(stem_norm(file), "0", shape=(4,), dtype="f4", external=where)

    def all_layers(file):
        del file["layers"]
        file["layers"] = h5py.ExternalLink(str(elsewhere), "layers")

    def other(file):
        file["more"] = h5py.ExternalLink("/etc/hostname", "/")

    return {
        "external link": linked(h5py.ExternalLink(str(elsewhere), "gamma")),
        "soft link": linked(h5py.SoftLink("/layers")),
        "link to nowhere": linked(h5py.SoftLink("/nowhere")),
        "virtual": virtual,
        "external storage": external,
        "all layers": all_layers,
        "one more": other,
    }


KINDS_OF_LINKS = [
    "external link",
    "soft link",
    "link to nowhere",
    "virtual",
    "external storage",
    "all layers",
    "one more",
]


@pytest.mark.parametrize("kind", KINDS_OF_LINKS)
def test_numbers_in_another_file(refused, model, folder, elsewhere, tmp_path, kind):
    assert sorted(links(elsewhere)) == sorted(KINDS_OF_LINKS)
    path = rewritten(folder / "a.weights.h5", tmp_path / "a.weights.h5", links(elsewhere)[kind])
    message = refused(model, path, **TOLD)
    assert "is missing, or a link" in message or "is stored in another file" in message


@pytest.mark.parametrize("link", [h5py.ExternalLink, h5py.SoftLink], ids=["external", "soft"])
def test_links_in_files_of_keras_2(refused, model, folder, tmp_path, link):
    (tmp_path / "elsewhere.h5").write_bytes((folder / "a.h5").read_bytes())
    for name in ("model_weights", "model_weights/predictions"):

        def change(file, name=name):
            del file[name]
            given = (name,) if link is h5py.SoftLink else (str(tmp_path / "elsewhere.h5"), name)
            file[name] = link(*given)

        path = rewritten(folder / "a.h5", tmp_path / "a.h5", change)
        assert "is missing, or a link" in refused(model, path, **TOLD)


def test_a_bit_on_which_hdf5_crashes(refused, model, folder, tmp_path):
    """It says that the name of a layer is of no type that there is."""
    text, neither = (b"name\0\0\0\0\x19" + one for one in (b"\x01", b"\x03"))
    content = (folder / "a.weights.h5").read_bytes()
    path = tmp_path / "a.weights.h5"
    path.write_bytes(content.replace(text, neither, 1))
    assert "was killed by SIGSEGV" in refused(model, path)


@pytest.mark.parametrize("name", ["a.weights.h5", "a.keras"])
def test_a_heap_on_which_hdf5_hangs(refused, model, folder, tmp_path, name):
    """Free space without a size, at the end of a heap of texts."""

    def damage(content):
        start = content.index(b"GCOL\x01")
        at, end = start + 16, start + struct.unpack_from("<Q", content, start + 8)[0]
        while at < end:
            index, size = struct.unpack_from("<H6xQ", content, at)
            if index == 0:
                return content[: at + 8] + bytes(8) + content[at + 16 :]
            at += 16 + (size + 7) // 8 * 8
        raise AssertionError("the heap is full")

    path = tmp_path / name
    if name.endswith(".h5"):
        path.write_bytes(damage((folder / name).read_bytes()))
    else:
        with zipfile.ZipFile(folder / name) as source, zipfile.ZipFile(path, "w") as target:
            target.writestr("config.json", source.read("config.json"))
            target.writestr("model.weights.h5", damage(source.read("model.weights.h5")))
    assert "on which HDF5 hangs" in refused(model, path)


def test_groups_that_contain_themselves(refused, model, folder, tmp_path, bounded):
    def cycle(file):
        file["layers/again"] = file["layers"]

    def doubling(file):
        group = file.create_group("a")
        for _ in range(60):
            inner = group.create_group("a")
            group["b"] = inner
            group = inner

    for change in (cycle, doubling):
        path = rewritten(folder / "a.weights.h5", tmp_path / "a.weights.h5", change)
        assert "is there twice" in refused(model, path, **TOLD)


def test_groups_where_tensors_should_be(refused, model, folder, tmp_path):
    def group_as_variable(file):
        del stem_norm(file)["0"]
        stem_norm(file).create_group("0")

    def tensor_as_layer(file):
        del file["layers"]
        file["layers"] = np.zeros(3)

    def nameless(file):
        del stem_norm(file).attrs["name"]

    def misnumbered(file):
        stem_norm(file).move("3", "4")

    for change in (group_as_variable, tensor_as_layer, nameless, misnumbered):
        path = rewritten(folder / "a.weights.h5", tmp_path / "a.weights.h5", change)
        refused(model, path, **TOLD)


# Numbers.


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, 2, 3, 4]),
        np.array([True, False, True, True]),
        np.ones(4, np.complex64),
        np.array([b"1.0", b"2.0", b"3.0", b"4.0"]),
        np.ones(4, [("real", "f4"), ("more", "f4")]),
        np.ones(4, np.uint16),
    ],
    ids=["integers", "booleans", "complex", "strings", "records", "bits of bfloat16"],
)
def test_what_is_no_number_of_a_network(refused, model, folder, tmp_path, value):
    path = rewritten(
        folder / "a.weights.h5",
        tmp_path / "a.weights.h5",
        lambda file: replace(stem_norm(file), "0", data=value),
    )
    assert "stem_bn/gamma (" in refused(model, path, **TOLD)
    state = {**torchvision_state(), "bn1.weight": value}
    assert "bn1.weight (" in refused(model, state, **TOLD)
    if value.dtype.kind in "iub":
        save_file(state, tmp_path / "a.safetensors")
        message = refused(model, tmp_path / "a.safetensors", **TOLD)
        assert "bn1.weight (dtype " in message


def test_strings_and_objects_of_python(refused, model, folder, tmp_path):
    def change(file):
        text = h5py.string_dtype()
        replace(stem_norm(file), "0", data=["a", "b", "c", "d"], dtype=text)

    path = rewritten(folder / "a.weights.h5", tmp_path / "a.weights.h5", change)
    assert "stem_bn/gamma (dtype object)" in refused(model, path, **TOLD)
    state = {**torchvision_state(), "bn1.weight": np.array([None] * 4)}
    assert "bn1.weight (" in refused(model, state, **TOLD)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_numbers_that_are_none(refused, model, value):
    for name, tensor in torchvision_state().items():
        if tensor.ndim:
            wrong = tensor.copy()
            wrong.flat[-1] = value
            message = refused(model, {**torchvision_state(), name: wrong}, **TOLD)
            assert message.endswith(f"NaN or infinity in {name}")


def test_numbers_too_large_for_float32(refused, model):
    state = torchvision_state()
    state["bn1.weight"] = np.array([1, 1e300, 1, 1])
    assert "infinity in bn1.weight" in refused(model, state, **TOLD)
    state = torchvision_state()
    state["bn1.running_mean"] = np.full(4, 3e38, np.float32)
    state["conv1.bias"] = np.full(4, -3e38, np.float32)
    assert "infinity in bn1.running_mean" in refused(model, state, **TOLD)


def test_negative_variances(refused, model):
    state = torchvision_state()
    state["layer1.0.bn1.running_var"][2] = -1e-3
    message = refused(model, state, **TOLD)
    assert message.endswith(
        "variances of at least 0. Received: layer1.0.bn1.running_var with -0.001"
    )


# The right number in the wrong order.


def test_swapped_statistics(refused, model, folder, tmp_path):
    """Means are negative somewhere, variances never."""

    def change(file):
        group = stem_norm(file)
        group.move("2", "spare")
        group.move("3", "2")
        group.move("spare", "3")

    path = rewritten(folder / "a.weights.h5", tmp_path / "a.weights.h5", change)
    assert "variances of at least 0. Received: stem_bn/moving_variance" in refused(
        model, path, **TOLD
    )


def test_swapped_layers(refused, model, folder, tmp_path):
    """The names of two layers exchanged."""
    paths = {}

    def find(name, group):
        if name.endswith("vars"):
            paths[group.attrs.get("name")] = group.name

    def change(file):
        file.visititems(find)
        pair = ("stage1_block1_first_conv", "stage2_block1_first_conv")
        for name, other in (pair, pair[::-1]):
            file[paths[name]].attrs["name"] = other

    path = rewritten(folder / "a.weights.h5", tmp_path / "a.weights.h5", change)
    message = refused(model, path, **TOLD)
    assert "stage1_block1_first_conv/kernel of shape (3, 3, 4, 8)" in message
    assert "stage2_block1_first_conv/kernel of shape (3, 3, 4, 4)" in message


def test_shifted_tensors(refused, model):
    """All the tensors and all the names, each one further on."""
    state = torchvision_state()
    shifted = dict(zip(state, [*list(state.values())[1:], next(iter(state.values()))], strict=True))
    message = refused(model, shifted, **TOLD)
    assert "conv1.weight of shape" in message
    assert " more" in message


def test_swapped_names_of_keras_2(refused, model, folder, tmp_path):
    def change(file):
        group = file["model_weights/predictions"]
        group.attrs["weight_names"] = group.attrs["weight_names"][::-1]

    path = rewritten(folder / "a.h5", tmp_path / "a.h5", change)
    weights.load(basic(), path, **TOLD)  # by names: their order is nothing

    def rename(file):
        group = file["model_weights/predictions"]
        names = [
            one.decode() if isinstance(one, bytes) else one for one in group.attrs["weight_names"]
        ]
        group.move(names[0], "spare")
        group.move(names[1], names[0])
        group.move("spare", names[1])

    path = rewritten(folder / "a.h5", tmp_path / "a.h5", rename)
    assert "predictions/kernel of shape (3,)" in refused(model, path, **TOLD)


# Safetensors.


def safetensors(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**40) + b"{}",
        struct.pack("<Q", 10) + b"[" * 10,
        safetensors({"conv1.weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}),
        safetensors(
            {"conv1.weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 16]}}, bytes(16)
        ),
        safetensors(
            {"conv1.weight": {"dtype": "F32", "shape": [4], "data_offsets": [2**40, 2**41]}}
        ),
        safetensors({"conv1.weight": {"dtype": "F99", "shape": [0], "data_offsets": [0, 0]}}),
        safetensors({"conv1.weight": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]}}),
        safetensors({"__metadata__": {"keras_bottleneck": 7}}),
        b"{" * 5000,
    ],
    ids=[
        "endless header",
        "long header",
        "no header",
        "no data",
        "huge shape",
        "data far away",
        "unknown dtype",
        "negative shape",
        "no text",
        "braces",
    ],
)
def test_lying_headers(refused, model, tmp_path, bounded, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    assert "must be a whole .safetensors file" in refused(model, path, **TOLD)


def test_tensors_without_elements(refused, model, tmp_path):
    header = {
        name: {"dtype": "F32", "shape": [0, *one.shape[1:]], "data_offsets": [0, 0]}
        for name, one in torchvision_state().items()
    }
    (tmp_path / "a.safetensors").write_bytes(safetensors(header))
    assert "conv1.weight of shape" in refused(model, tmp_path / "a.safetensors", **TOLD)


def test_shapes_of_a_million_axes(refused, model, tmp_path):
    state = {name: one for name, one in torchvision_state().items() if one.ndim}
    header, start = {}, 0
    for name, one in state.items():
        shape = [1] * 100_000 if name == "bn1.bias" else list(one.shape)
        size = 4 if name == "bn1.bias" else one.nbytes
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, start + size]}
        start += size
    (tmp_path / "a.safetensors").write_bytes(safetensors(header, bytes(start)))
    refused(model, tmp_path / "a.safetensors", **TOLD)


# Files that are no files.


def test_pipes_and_folders_are_not_waited_for(refused, model, tmp_path, bounded):
    os.mkfifo(tmp_path / "pipe.weights.h5")
    assert "an existing file" in refused(model, tmp_path / "pipe.weights.h5")


def test_torch_is_named_where_it_is_missing(model, tmp_path):
    try:
        import torch  # noqa: F401
    except ImportError:
        (tmp_path / "a.pth").write_bytes(b"")
        with pytest.raises(ImportError, match=r"Reading a\.pth needs PyTorch: pip install torch"):
            weights.load(model, tmp_path / "a.pth")
    else:
        pytest.skip("torch is installed")
