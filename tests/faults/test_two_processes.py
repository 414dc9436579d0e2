"""Two processes train one model: what they train, and what happens when something happens to one.

`KERAS_BOTTLENECK_PROCESSES=4 pytest -m slow tests/faults/test_two_processes.py -k many` takes more.
"""

import os
import re

import keras
import numpy as np
import pytest

from .processes import Launcher

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        keras.config.backend() != "jax", reason="several processes need KERAS_BACKEND=jax"
    ),
]
# Steps in an epoch; accidents happen behind the second step of the second epoch.
STEPS = 5
AMID = STEPS + 2
MINUTE = 60


@pytest.fixture(scope="module")
def launcher(tmp_path_factory):
    """What starts jobs of several processes."""
    one = Launcher(tmp_path_factory.mktemp("jobs"))
    yield one
    one.close()


@pytest.fixture(scope="module")
def pair(launcher):
    """What each of two processes has in the end that nothing happened to."""
    ends = launcher.run("pair")
    assert [one.code for one in ends] == [0, 0], ends
    return [launcher.written("pair", process) for process in range(2)]


def check_equal(left, right, difference=0.0):
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert np.abs(value.astype("float64") - right[name]).max() <= difference, name


def check_said(ended, message):
    assert re.search(message, ended.err), ended.err


def test_two_processes_train_what_one_trains(launcher, pair):
    assert launcher.run("alone", processes=1)[0].code == 0
    assert {"loss", "val_loss"} < pair[0].keys()
    check_equal(*pair)
    check_equal(pair[0], launcher.written("alone"), 1e-5)


@pytest.mark.skipif(
    "KERAS_BOTTLENECK_PROCESSES" not in os.environ,
    reason="more processes than CI has cores: set KERAS_BOTTLENECK_PROCESSES=4",
)
def test_many_processes_train_what_two_train(launcher, pair):
    processes = int(os.environ["KERAS_BOTTLENECK_PROCESSES"])
    ends = launcher.run("many", processes=processes)
    assert [one.code for one in ends] == [0] * processes, ends
    for process in range(processes):
        check_equal(launcher.written("many"), launcher.written("many", process))
    check_equal(pair[0], launcher.written("many"), 1e-5)


ACCIDENTS = {
    "killed": ("SIGKILL", 1, "process 0 of 2: another process has ended"),
    "frozen": ("SIGSTOP", 1, "process 0 of 2: step 3 of epoch 2 has taken longer than 6 s"),
    "stuck": ("hangs", 1, "process 0 of 2: step 3 of epoch 2 has taken longer than 6 s"),
    "mistaken": ("raises", 1, "process 0 of 2: another process has ended"),
    # jax ends the process at once where the coordinator is gone, which we may forestall.
    "coordinator killed": ("SIGKILL", 0, "another (process has ended|task died)"),
    "coordinator frozen": ("SIGSTOP", 0, "process 1 of 2: step 3 of epoch 2 has taken longer"),
}


@pytest.mark.parametrize(
    "accident",
    [
        pytest.param(name, marks=() if name in ("killed", "frozen") else pytest.mark.full)
        for name in ACCIDENTS
    ],
)
def test_when_one_ends_or_hangs_so_does_the_other_and_the_restart_goes_on(
    launcher, pair, tmp_path, accident
):
    kind, process, message = ACCIDENTS[accident]
    survivor = 1 - process
    folder = tmp_path / "kept"
    ends = launcher.run(
        accident,
        survivors=[survivor],
        accident=[kind, process, AMID],
        checkpoints=str(folder),
    )
    assert ends[survivor].code in (75, -6), ends
    assert ends[survivor].seconds < MINUTE
    check_said(ends[survivor], message)
    assert max(path.name for path in folder.iterdir()) >= f"step_{AMID - 1:010d}"
    restarted = launcher.run(f"{accident} again", checkpoints=str(folder))
    assert [one.code for one in restarted] == [0, 0], restarted
    for number in range(2):
        check_equal(pair[number], launcher.written(f"{accident} again", number))


@pytest.mark.full
def test_sigterm_to_one_adds_a_checkpoint_and_ends_both(launcher, pair, tmp_path):
    folder = tmp_path / "kept"
    # jax looks for the signal once a second.
    ends = launcher.run(
        "term", accident=["SIGTERM", 1, 2], checkpoints=str(folder), every_s=600, pace_s=1.5
    )
    assert [one.code for one in ends] == [143, 143], ends
    for one in ends:
        check_said(one, r"stopped by SIGTERM after step \d of epoch \d, as all processes")
    assert any(folder.iterdir())
    restarted = launcher.run("term again", checkpoints=str(folder))
    assert [one.code for one in restarted] == [0, 0], restarted
    check_equal(pair[0], launcher.written("term again"))


def test_every_process_trains_as_many_steps_as_the_one_with_the_fewest(launcher):
    ends = launcher.run("unequal", lengths=[5, 3])
    assert [one.code for one in ends] == [0, 0], ends
    first, second = (launcher.written("unequal", process) for process in range(2))
    check_equal(first, second)
    counters = [value for value in first.values() if value.dtype.kind in "iu" and not value.shape]
    assert 2 * 3 in counters


def test_data_that_end_too_early_end_both(launcher):
    # Keras reads one batch of a generator before it trains.
    ends = launcher.run("short", lengths=[11, 8], claims=5)
    assert [one.code for one in ends] == [75, 1], ends
    assert max(one.seconds for one in ends) < MINUTE
    check_said(ends[0], "process 0 of 2: another process has ended")
    check_said(ends[1], "the end of the data of process 1 before batch 2 of 5")


def test_a_process_that_waits_for_the_others_in_vain_ends(launcher):
    alone = {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": "127.0.0.1:9",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
        "KERAS_DISTRIBUTION_PROCESS_ID": "1",
    }
    (end,) = launcher.run("absent", processes=1, environment=alone, pause_timeout_s=3)
    assert end.code == 75
    check_said(end, "process 1 of 2: meeting the others at 127.0.0.1:9 has taken longer than 3 s")
