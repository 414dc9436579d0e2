"""An audit that was none says so. The vulnerability service is one on this machine."""

import json
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit.py"
if not AUDIT.exists():
    pytest.skip("CI's scripts are only in a checkout", allow_module_level=True)
pytest.importorskip("pip_audit", reason="pip-audit is not installed")
pytestmark = pytest.mark.slow


# What the audit asks first.
KNOWN = ("jinja2", "2.10")


@contextmanager
def service(*vulnerable, status=200):
    """A service with OSV's interface: its address, and the names that it was asked about."""
    asked = set()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            release = query["package"]["name"], query["version"]
            asked.add(release[0])
            found = [flaw(*release)] if release in vulnerable else []
            body = json.dumps({"vulns": found}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *message):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def flaw(name, version):
    package = {"name": name, "ecosystem": "PyPI"}
    return {
        "id": "PYSEC-0000-1",
        "modified": "2020-01-01T00:00:00Z",
        "published": "2020-01-01T00:00:00Z",
        "affected": [{"package": package, "versions": [version], "ranges": []}],
    }


def audit(address):
    command = [sys.executable, AUDIT, "-s", "osv", "--osv-url", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def locked():
    text = "".join(lock.read_text("utf-8") for lock in AUDIT.parent.glob("lock/*.txt"))
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def test_every_locked_release_is_asked_about():
    with service(KNOWN) as (address, asked):
        result = audit(address)
    assert result.returncode == 0, result.stderr
    assert "No known vulnerabilities found" in result.stderr
    assert "NOT AUDITED" not in result.stdout
    assert asked == set(locked())


def test_a_vulnerable_release_fails():
    with service(KNOWN, ("tensorflow", locked()["tensorflow"])) as (address, _):
        result = audit(address)
    assert result.returncode == 1
    assert "PYSEC-0000-1" in result.stdout


def test_a_service_that_knows_nothing_is_no_audit():
    with service() as (address, asked):
        result = audit(address)
    assert result.returncode == 0
    assert result.stdout.startswith("NOT AUDITED")
    assert asked == {"jinja2"}


def test_a_service_with_errors_is_no_audit():
    with service(KNOWN, status=503) as (address, _):
        result = audit(address)
    assert result.returncode == 0
    assert result.stdout.startswith("NOT AUDITED")


def test_a_service_that_cannot_be_reached_is_no_audit():
    with socket.socket() as taken:
        # Bound, but nobody listens.
        taken.bind(("127.0.0.1", 0))
        result = audit(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert result.returncode == 0
    assert result.stdout.startswith("NOT AUDITED") and "refused" in result.stdout
