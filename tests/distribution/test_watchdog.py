"""The thread that ends a process in which nothing gets done."""

import os
import threading
import time

import pytest

from keras_bottleneck.distribution import watchdog
from keras_bottleneck.distribution.ending import TRY_AGAIN
from keras_bottleneck.distribution.watchdog import Watchdog


@pytest.fixture
def watched(monkeypatch):
    """A watchdog that looks often, and the list of what it says at the end."""
    monkeypatch.setattr(watchdog, "LOOK_S", 0.01)
    said = []
    dog = Watchdog("process 0 of 2", said.append)
    yield dog, said
    dog.stop()


def test_what_takes_too_long_ends_the_process(watched):
    dog, said = watched
    dog.expect("step 3 of epoch 1", 0.05)
    time.sleep(0.5)
    assert len(said) == 1
    assert said[0].startswith("process 0 of 2: step 3 of epoch 1 has taken longer than 0.05 s")


def test_beats_and_rest_keep_it_alive(watched):
    dog, said = watched
    for step in range(5):
        dog.expect(f"step {step}", 10.0)
    dog.expect("the last step", 0.2)
    dog.rest()
    time.sleep(0.4)
    assert said == []


def test_a_main_thread_that_never_comes_back_is_ended(capfd):
    child = os.fork()
    if not child:
        Watchdog("process 1 of 2").expect("step 1 of epoch 1", 0.2)
        threading.Event().wait()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == TRY_AGAIN
    said = capfd.readouterr().err
    assert "error: process 1 of 2: step 1 of epoch 1 has taken longer than 0.2 s" in said
