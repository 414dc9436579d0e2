"""Downloads from a real server on this machine, which serves what the test makes."""

import hashlib
import os
import random
import re
import signal
import socket
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from keras_bottleneck.weights import download as module
from keras_bottleneck.weights.download import DownloadError, cache_folder, download

from . import child
from . import server as servers

CONTENT = random.Random(0).randbytes(3_000_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
HALF = len(CONTENT) // 2

# Says when it is about to download, so that the test need not guess how long the imports took.
CHILD = """
import sys
from keras_bottleneck.weights.download import download
print("ready", flush=True)
print(download(*sys.argv[1:4], folder=sys.argv[4]))
"""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server():
    with servers.serving(CONTENT) as running:
        yield running


def downloading(url, folder):
    """A process that has come as far as the download."""
    process = child.start(CHILD, url, SHA256, "file.bin", folder)
    assert process.stdout.readline() == "ready\n"
    return process


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def part_of(folder):
    (part,) = folder.glob("*.part")
    return part


def fails(url, folder, hash=SHA256, **arguments):
    """The message of the failed download, which is one sentence."""
    with pytest.raises(DownloadError) as caught:
        download(url, hash, folder=folder, **arguments)
    message = str(caught.value)
    assert url in message or str(folder) in message
    assert "\n" not in message
    assert message.endswith(".")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


@pytest.mark.parametrize("hash", [SHA256, SHA256[:15], SHA256.upper(), MD5])
def test_a_file_arrives_whole_and_alone(server, tmp_path, hash):
    path = download(server.url("well"), hash.replace("SHA", "sha"), folder=tmp_path / "a" / "b")
    assert path == tmp_path / "a" / "b" / "file.bin"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["file.bin"]


@pytest.mark.parametrize(
    "how", ["without_range", "without_length", "in_chunks", "redirected", "elsewhere"]
)
def test_however_it_is_served(server, tmp_path, how):
    assert download(server.url(how), SHA256, folder=tmp_path).read_bytes() == CONTENT


def test_a_cached_file_is_not_fetched_again(server, tmp_path):
    for _ in range(2):
        download(server.url("well"), SHA256, folder=tmp_path)
    assert len(server.requests) == 1


def test_a_damaged_cached_file_is_fetched_anew(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1] + b"?")
    assert download(server.url("well"), SHA256, folder=tmp_path).read_bytes() == CONTENT


def test_a_damaged_cached_file_stays_while_there_is_no_better_one(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"old")
    fails(server.url("missing"), tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


def test_the_default_folder_is_that_of_keras(server, tmp_path, monkeypatch):
    keras = pytest.importorskip("keras")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = download(server.url("well"), MD5)
    assert path == tmp_path / "models" / "file.bin"
    assert cache_folder() == path.parent
    # Found by keras, which would have to fetch it from nowhere.
    theirs = keras.utils.get_file(
        "file.bin",
        "http://127.0.0.1:1/file.bin",
        cache_dir=str(tmp_path),
        cache_subdir="models",
        file_hash=MD5[4:],
    )
    assert Path(theirs) == path
    monkeypatch.delenv("KERAS_HOME")
    assert cache_folder() == Path.home() / ".keras" / "models"


def test_file_names(server, tmp_path):
    url = server.url("well", "a%20b.bin?download=1#x")
    assert download(url, SHA256, folder=tmp_path).name == "a b.bin"
    assert download(url, SHA256, "c.bin", tmp_path).name == "c.bin"


# Resuming


def test_a_dropped_connection_is_continued(server, tmp_path):
    message = fails(server.url("dropped"), tmp_path)
    assert f"broke after {HALF:,} of {len(CONTENT):,} bytes: run it again to continue" in message
    assert part_of(tmp_path).read_bytes() == CONTENT[:HALF]
    fails(server.url("dropped"), tmp_path)
    assert download(server.url("well"), SHA256, folder=tmp_path).read_bytes() == CONTENT
    assert server.sent == len(CONTENT)
    assert [asked for _, asked in server.requests] == [None, "bytes=1500000-", "bytes=2250000-"]
    assert names(tmp_path) == ["file.bin"]


def test_where_the_server_cannot_continue_it_starts_anew(server, tmp_path):
    fails(server.url("dropped_without_range"), tmp_path)
    path = download(server.url("without_range"), SHA256, folder=tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.sent == HALF + len(CONTENT)


def test_chunks_that_end_early_are_no_file(server, tmp_path):
    message = fails(server.url("in_chunks_dropped"), tmp_path)
    assert f"broke after {HALF:,} bytes: run it again to continue" in message
    assert download(server.url("well"), SHA256, folder=tmp_path).read_bytes() == CONTENT
    assert server.sent == len(CONTENT) - HALF


def test_a_stalled_connection_is_continued(server, tmp_path):
    message = fails(server.url("halted"), tmp_path, timeout=0.3)
    assert f"fell silent after {HALF:,} of {len(CONTENT):,} bytes: run it again" in message
    assert download(server.url("well"), SHA256, folder=tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][1] == f"bytes={HALF}-"


def test_a_killed_process_is_continued(server, tmp_path):
    process = downloading(server.url("halted"), tmp_path)
    assert server.half_sent.wait(60)
    # The server's half is still on its way to the file.
    deadline = time.monotonic() + 10
    while not any(part.stat().st_size for part in tmp_path.glob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    had = part_of(tmp_path).stat().st_size
    before = server.sent
    assert download(server.url("well"), SHA256, folder=tmp_path).read_bytes() == CONTENT
    # The server counts what it has sent, which can arrive before it is counted.
    deadline = time.monotonic() + 10
    while server.sent - before < len(CONTENT) - had and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.sent - before == len(CONTENT) - had
    assert names(tmp_path) == ["file.bin"]


@pytest.mark.parametrize(
    ("left", "requests"),
    [
        (CONTENT, 1),  # killed just before the end: nothing is sent
        (b"x" * 1000, 2),
        (b"x" * len(CONTENT), 2),
        (CONTENT + b"x", 2),
    ],
    ids=["whole", "wrong", "as_long", "too_long"],
)
def test_what_an_earlier_call_left(server, tmp_path, left, requests):
    fails(server.url("dropped"), tmp_path)
    part_of(tmp_path).write_bytes(left)
    server.requests.clear()
    server.sent = 0
    assert download(server.url("well"), SHA256, folder=tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == requests
    assert names(tmp_path) == ["file.bin"]
    if left == CONTENT:
        assert server.sent == 0


def test_parts_of_different_files_are_not_mixed(server, tmp_path):
    fails(server.url("dropped"), tmp_path)
    download(server.url("well"), MD5, folder=tmp_path)
    assert server.requests[-1][1] is None
    assert part_of(tmp_path).name == f"file.bin.{SHA256[7:15]}.part"


# Together


def test_two_processes_fetch_it_once(server, tmp_path):
    processes = [downloading(server.url("halted"), tmp_path) for _ in range(2)]
    assert server.half_sent.wait(60)
    time.sleep(0.3)
    server.go_on.set()
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert output.strip() == str(tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert names(tmp_path) == ["file.bin"]


def test_threads_fetch_it_once(server, tmp_path):
    threads = [
        threading.Thread(target=download, args=(server.url("well"), SHA256, None, tmp_path))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert names(tmp_path) == ["file.bin"]


def test_a_left_lock_file_locks_nobody_out(server, tmp_path):
    (tmp_path / "file.bin.lock").touch()
    download(server.url("well"), SHA256, folder=tmp_path, timeout=5)
    assert names(tmp_path) == ["file.bin"]


# Without a hash


@pytest.mark.parametrize(("how", "requests"), [("on_the_hub", 3), ("in_storage", 2), ("well", 2)])
def test_the_server_is_asked_for_the_hash(server, tmp_path, how, requests):
    """The Hub, Google's storage, and a server that states none."""
    path = download(server.url(how), None, folder=tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.sent == len(CONTENT)
    assert len(server.requests) == requests
    assert names(tmp_path) == ["file.bin"]


def test_what_is_there_is_taken_as_it_is(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"copied by hand")
    assert download(server.url("on_the_hub"), None, folder=tmp_path).read_bytes() != CONTENT
    assert server.requests == []


@pytest.mark.parametrize("how", ["misstated", "damaged_in_storage"])
def test_another_file_than_the_server_states(server, tmp_path, how):
    assert "has the wrong hash and was removed" in fails(server.url(how), tmp_path, hash=None)
    assert names(tmp_path) == []


def test_without_any_hash_the_length_decides(server, tmp_path):
    assert "run it again to continue" in fails(server.url("dropped"), tmp_path, hash=None)
    assert download(server.url("well"), None, folder=tmp_path).read_bytes() == CONTENT
    assert server.sent == len(CONTENT)
    assert names(tmp_path) == ["file.bin"]


@pytest.mark.parametrize(
    ("how", "said"), [("missing", "There is no file at"), ("silent", "answer")]
)
def test_a_server_that_cannot_be_asked(server, tmp_path, how, said):
    assert said in fails(server.url(how), tmp_path, hash=None, timeout=0.5)
    assert names(tmp_path) == []


# Failures


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", r"^There is no file at .* \(HTTP 404 Not Found\): check the address"),
        ("forbidden", r"^The server refuses .* \(HTTP 403 Forbidden\): check the address"),
        ("broken", r"in trouble \(HTTP 500 Internal Server Error\): run it again later"),
        ("to_a_file", "redirects to 'file:///etc/hostname', which is not followed"),
        ("to_ftp", "redirects to 'ftp://127.0.0.1/file.bin', which is not followed"),
        ("in_circles", "redirects to 'http://.*', which is not followed"),
        ("silent", r"cannot be reached \(it does not answer\): check that you are online"),
        ("rude", r"cannot be reached \(hello\): check that you are online"),
    ],
)
def test_the_server_does_not_give_it(server, tmp_path, how, said):
    message = fails(server.url(how), tmp_path, timeout=0.5)
    assert re.search(said, message), message
    assert names(tmp_path) == []


def test_offline(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    message = fails(f"http://127.0.0.1:{port}/file.bin", tmp_path)
    assert "cannot be reached (Connection refused)" in message
    assert f"copy the file into {tmp_path} by hand." in message
    with pytest.raises(DownloadError, match=r"by hand as resnet\.bin\.$"):
        download(f"http://127.0.0.1:{port}/file.bin", None, "resnet.bin", tmp_path)


def test_no_such_host(tmp_path):
    message = fails("https://no-such-host.invalid/file.bin", tmp_path)
    assert "(its host name cannot be looked up): check that you are online" in message


def test_no_tls(server, tmp_path):
    fails(server.url("well").replace("http:", "https:"), tmp_path)
    assert names(tmp_path) == []


def test_a_secure_address_is_never_left_for_an_insecure_one():
    asked = urllib.request.Request("https://example.org/file.bin")
    handler = module._Redirects()
    assert handler.redirect_request(asked, None, 302, "", {}, "http://example.org/a") is None
    followed = handler.redirect_request(asked, None, 302, "", {}, "https://example.org/a")
    assert followed.full_url == "https://example.org/a"
    assert handler.redirect_request(asked, None, 302, "", {}, "http://127.0.0.1/a") is None
    here = urllib.request.Request("http://127.0.0.1/file.bin")
    assert handler.redirect_request(here, None, 302, "", {}, "http://example.org/a") is None
    followed = handler.redirect_request(here, None, 302, "", {}, "http://127.0.0.1/a")
    assert followed.full_url == "http://127.0.0.1/a"


@pytest.mark.parametrize("how", ["truncated", "too_short"])
def test_half_a_file_is_not_taken_for_a_whole_one(server, tmp_path, how):
    received = hashlib.sha256(CONTENT[:HALF]).hexdigest()
    message = fails(server.url(how), tmp_path)
    assert f"expected {SHA256}, received sha256:{received}" in message
    assert names(tmp_path) == []


def test_another_file_is_removed(server, tmp_path):
    message = fails(server.url("well"), tmp_path, hash="sha256:01234567")
    assert f"has the wrong hash and was removed (expected sha256:01234567, received {SHA256})" in (
        message
    )
    assert names(tmp_path) == []


def test_the_hash_is_believed_more_than_the_length(server, tmp_path):
    assert download(server.url("too_long"), SHA256, folder=tmp_path).read_bytes() == CONTENT


def test_a_folder_that_is_none(server, tmp_path):
    (tmp_path / "file").touch()
    message = fails(server.url("well"), tmp_path / "file" / "folder")
    assert "cannot be written (Not a directory): free some disk space, or pass" in message


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="nothing is forbidden to this user"
)
def test_a_folder_of_somebody_else(server, tmp_path):
    tmp_path.chmod(0o500)
    try:
        message = fails(server.url("well"), tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert "cannot be written (Permission denied): free some disk space, or pass" in message


def test_no_room_on_the_disk(server, tmp_path):
    resource = pytest.importorskip("resource", reason="needs a limit on the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        message = fails(server.url("well"), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written (File too large): free some disk space, or pass" in message
    # What had room is kept, and continued once there is more.
    assert part_of(tmp_path).stat().st_size > 0
    assert download(server.url("well"), SHA256, folder=tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][1] is not None


# Wrong calls

URL = "https://example.org/file.bin"


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("url", ("file:///etc/hostname", SHA256)),
        ("url", ("ftp://example.org/file.bin", SHA256)),
        ("url", ("http://example.org/file.bin", SHA256)),
        ("url", ("http://127.0.0.1.example.org/file.bin", SHA256)),
        ("url", ("http://localhost/file.bin", SHA256)),
        ("url", ("example.org/file.bin", SHA256)),
        ("url", ("https:///file.bin", SHA256)),
        ("url", ("https://[::1/file.bin", SHA256)),
        ("url", ("https://example.org/a b.bin", SHA256)),
        ("url", (None, SHA256)),
        ("hash", (URL, SHA256[7:])),
        ("hash", (URL, "sha256:1234567")),
        ("hash", (URL, "md5:12345678")),
        ("hash", (URL, "sha256:0123456g")),
        ("file_name", ("https://example.org/", SHA256)),
        ("file_name", ("https://example.org/..%2Ffile.bin", SHA256)),
        ("file_name", (URL, SHA256, "../file.bin")),
        ("file_name", (URL, SHA256, "")),
        ("file_name", (URL, SHA256, 7)),
        ("folder", (URL, SHA256, None, 7)),
        ("folder", (URL, SHA256, None, "")),
        ("timeout", (URL, SHA256, None, None, 0)),
    ],
)
def test_wrong_arguments(argument, arguments):
    with pytest.raises(ValueError, match=f"^`{argument}` must be .*Received: ") as caught:
        download(*arguments)
    assert "\n" not in str(caught.value)
