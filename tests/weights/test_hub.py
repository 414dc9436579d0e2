"""Downloads from a small Hugging Face Hub on this machine, by the real huggingface_hub."""

import hashlib
import http.server
import importlib.util
import json
import random
import sys
import threading

import pytest

from keras_bottleneck.weights.hub import download_from_hub

from . import child

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
COMMIT = "a" * 40
FILE = "hf://me/flowers@v1/small/model.safetensors"

# huggingface_hub reads its settings when it is imported, so each Hub needs its own process.
CHILD = """
import json, sys
from keras_bottleneck.weights.hub import download_from_hub

def outcome(url, hash):
    try:
        return str(download_from_hub(url, hash))
    except Exception as error:
        return f"{type(error).__name__}: {error}"

print(json.dumps([outcome(*case) for case in json.loads(sys.argv[1])]))
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """Has one file, in one repository, under one tag."""

    def do_HEAD(self):  # noqa: N802
        if self.path == "/me/flowers/resolve/v1/small/model.safetensors":
            self.answer(200, ETag='"1"', X_Repo_Commit=COMMIT, Content_Length=str(len(CONTENT)))
        elif self.path.startswith("/me/flowers/resolve/v1/"):
            self.answer(404, X_Error_Code="EntryNotFound")
        elif self.path.startswith("/me/flowers/"):
            self.answer(404, X_Error_Code="RevisionNotFound")
        elif self.path.startswith("/me/licensed/"):
            self.answer(403, X_Error_Code="GatedRepo")
        else:
            self.answer(404, X_Error_Code="RepoNotFound")

    def do_GET(self):  # noqa: N802
        self.do_HEAD()
        if self.path.endswith("model.safetensors"):
            self.server.fetched += 1
            self.wfile.write(CONTENT)

    def answer(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *arguments):
        """A quiet server."""


def outcomes(cases, home, **environment):
    process = child.start(CHILD, json.dumps(list(cases)), HF_HOME=str(home), **environment)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(output)


@pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None, reason="huggingface_hub is not installed"
)
def test_the_hub(tmp_path):
    cached = tmp_path / f"hub/models--me--flowers/snapshots/{COMMIT}/small/model.safetensors"
    missing = "DownloadError: There is no file at"
    expected = {
        (FILE, SHA256): str(cached),
        (FILE, SHA256[:15]): str(cached),
        (FILE.replace("v1", COMMIT), SHA256): str(cached),
        (FILE, "sha256:01234567"): f"DownloadError: What {FILE} sent has the wrong hash and was",
        # The wrong one was removed, so that this fetches it again.
        (FILE, SHA256[:16]): str(cached),
        ("hf://me/flowers@v1/other.safetensors", SHA256): missing,
        ("hf://me/flowers@v2/small/model.safetensors", SHA256): missing,
        ("hf://me/birds@v1/small/model.safetensors", SHA256): missing,
        ("hf://me/licensed@v1/a", SHA256): "DownloadError: hf://me/licensed@v1/a is given to those",
        ("hf://me/a--b@v1/a", SHA256): "ValueError: `url` must be an address like 'hf://OWNER",
    }
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.fetched = 0
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        found = outcomes(expected, tmp_path, HF_ENDPOINT=endpoint)
        server.shutdown()
    for (url, _), outcome, start in zip(expected, found, expected.values(), strict=True):
        assert outcome.startswith(start), url
        assert "\n" not in outcome
    assert server.fetched == 2
    assert cached.read_bytes() == CONTENT

    found = outcomes(
        [(FILE, SHA256), ("hf://me/flowers@v1/other", SHA256)], tmp_path, HF_HUB_OFFLINE="1"
    )
    assert found[0] == str(cached)
    assert "hf://me/flowers@v1/other cannot be reached and is not cached: check" in found[1]


def test_without_huggingface_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="needs `huggingface_hub`: pip install huggingface_hub"):
        download_from_hub(FILE, SHA256)


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("url", (FILE.replace("@v1", ""), SHA256)),
        ("url", ("https://huggingface.co/me/flowers", SHA256)),
        ("url", (None, SHA256)),
        ("hash", (FILE, "v1")),
        ("folder", (FILE, SHA256, 7)),
    ],
)
def test_wrong_arguments(argument, arguments):
    with pytest.raises(ValueError, match=f"^`{argument}` must be .*Received: "):
        download_from_hub(*arguments)
