"""The example for browsers: its modules in Node, its built page in headless Chromium."""

import contextlib
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
    """A function: what a script prints when Node.js runs it in this folder."""
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
def example():
    """The folder of the example."""
    return EXAMPLE


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


@contextlib.contextmanager
def served(folder):
    """The address of a server of the files in `folder`, which sends no header of isolation."""
    handler = functools.partial(Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def page(node, packages, tmp_path_factory):
    """A function: the address of the page, built with the models of the `exported` folder."""
    with contextlib.ExitStack() as servers:

        def build(*exported):
            folder = tmp_path_factory.mktemp("page")
            node(EXAMPLE / "build.mjs", "--out", folder, *exported)
            return servers.enter_context(served(folder))

        yield build


@pytest.fixture(scope="session")
def classify(node, chromium, page, tmp_path_factory):
    """A function: the page's answers to each of `photos` by each of `models`, all paths."""
    address = page()

    def answers(models, photos):
        job = tmp_path_factory.mktemp("job") / "job.json"
        job.write_text(
            json.dumps({"models": list(map(str, models)), "photos": list(map(str, photos))})
        )
        found = json.loads(node(HERE / "classify.mjs", address, job, chromium))
        assert found["complaints"] == []
        return found["answers"]

    return answers
