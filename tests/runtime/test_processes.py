"""A job that crashes, is killed or hangs is one sentence."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import keras_bottleneck
from keras_bottleneck.runtime import processes
from keras_bottleneck.runtime.processes import JobError

MAIN = """
import json, os, signal, sys, time
from pathlib import Path

def main(job_path):
    job = json.loads(Path(job_path).read_text())
    {body}
"""
WRITES = "Path(job['result']).write_text(json.dumps({'twice': 2 * job['number']}))"


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Runs a body in a new process."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])

    def run(body, timeout=60.0):
        name = f"job_{abs(hash(body))}"
        (tmp_path / f"{name}.py").write_text(MAIN.format(body=body))
        log = tmp_path / "slot" / "log.txt"
        return processes.run(name, {"number": 21}, tmp_path, timeout, log, keras=False)

    return run


def test_a_job_gives_its_result_and_leaves_no_log(job, tmp_path):
    assert job(WRITES) == {"twice": 42}
    assert not (tmp_path / "slot").exists()


def test_what_a_crash_printed_last_is_told(job, tmp_path):
    with pytest.raises(JobError, match=r"exit code 1 \(ZeroDivisionError: .*\); what .*log.txt"):
        job("1 / 0")
    assert "Traceback" in (tmp_path / "slot" / "log.txt").read_text()


def test_a_killed_process_is_told(job):
    with pytest.raises(JobError, match="killed by SIGKILL, as happens where memory runs out"):
        job("os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(JobError, match="killed by SIGABRT; what it printed is in"):
        job("os.abort()")


def test_a_process_that_ends_without_a_result_is_told(job):
    with pytest.raises(JobError, match=r"exit code 0 \(it printed nothing\)"):
        job("pass")


def test_an_earlier_result_is_not_taken_for_a_later_one(job):
    job(WRITES)
    with pytest.raises(JobError):
        job("pass")


def test_a_hanging_process_is_ended(job):
    with pytest.raises(JobError, match="longer than `timeout`, 0.5 seconds"):
        job("time.sleep(60)", timeout=0.5)


def test_a_job_ends_with_the_process_that_started_it(tmp_path):
    """However that ended."""
    (tmp_path / "endless.py").write_text(
        MAIN.format(body="Path('started').touch(); time.sleep(60)")
    )
    code = (
        "import sys; sys.modules['keras'] = None\n"
        "from pathlib import Path\n"
        "from keras_bottleneck.runtime import processes\n"
        "processes.run('endless', {}, Path(), 60.0, keras=False)\n"
    )
    path = os.pathsep.join([str(Path(keras_bottleneck.__file__).parents[1]), str(tmp_path)])
    environment = {**os.environ, "PYTHONPATH": path}
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert commands(str(tmp_path)) or not Path("/proc/self").exists()
    parent.kill()
    parent.wait()
    while commands(str(tmp_path)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def commands(folder):
    """The processes that work in a folder."""
    return [one for one in Path("/proc").glob("[0-9]*/cwd") if os.path.realpath(one) == folder]


def test_without_keras_the_package_offers_its_runtime_alone(job):
    imports = "import keras_bottleneck.runtime.measuring; "
    found = "[name in sys.modules for name in ('keras_bottleneck.layers', 'tensorflow')]"
    body = f"{imports}Path(job['result']).write_text(json.dumps({{'found': {found}}}))"
    assert job(body) == {"found": [False, False]}
