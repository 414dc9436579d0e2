"""The example for browsers: its modules in Node, its built page in headless Chromium."""

import functools
import http.server
import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "web"


@pytest.fixture(scope="session")
def node():
    """A function: what a script of this folder prints as JSON, run by Node.js."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs Node.js (`node`) on the PATH")

    def run(script, *arguments):
        done = subprocess.run(
            [program, str(script), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=HERE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def packages():
    """Skips where the example's packages from npm are not installed."""
    if not (EXAMPLE / "node_modules").is_dir():
        pytest.skip("needs the packages from npm: `npm ci --prefix examples/web`")


@pytest.fixture(scope="session")
def chromium():
    """The path of a Chromium or Chrome."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("needs Chromium (`chromium`) on the PATH")


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def page(node, packages, tmp_path_factory):
    """The address of the built page, served without any header of isolation."""
    folder = tmp_path_factory.mktemp("page")
    node(EXAMPLE / "build.mjs", "--out", folder)
    handler = functools.partial(Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def classify(node, chromium, page, tmp_path_factory):
    """A function: the page's answers to each of `photos` by each of `models`, all paths."""

    def answers(models, photos):
        job = tmp_path_factory.mktemp("job") / "job.json"
        job.write_text(
            json.dumps({"models": list(map(str, models)), "photos": list(map(str, photos))})
        )
        found = json.loads(node(HERE / "classify.mjs", page, job, chromium))
        assert found["complaints"] == []
        return found["answers"]

    return answers
