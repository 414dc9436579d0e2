"""Ends a process that waits for another one which never comes."""

import threading
import time
from collections.abc import Callable

from keras_bottleneck.distribution.ending import REMEDY, abandon

# How often the clock is looked at, at least.
LOOK_S = 1.0


class Watchdog:
    """Ends the process where nothing gets done for too long.

    A process that is alive but does not take part, because it is stuck or has fewer batches, lets
    all others wait for ever inside of a collective (https://github.com/jax-ml/jax/issues/38503).
    Python cannot interrupt that; a thread that looks at the clock can end the process.

    Args:
        who: What this process is called in the message.
        end: Called with the message when time is up.
    """

    def __init__(self, who: str, end: Callable[[str], None] = abandon) -> None:
        self.who, self._end = who, end
        self._lock = threading.Lock()
        self._doing, self._limit, self._until = "", 0.0, float("inf")
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)
        self._thread.start()

    def expect(self, doing: str, limit_s: float) -> None:
        """From now on the process is `doing` that, for no longer than `limit_s` seconds."""
        with self._lock:
            self._doing, self._limit = doing, limit_s
            self._until = time.monotonic() + limit_s

    def rest(self) -> None:
        """Nothing is waited for."""
        with self._lock:
            self._until = float("inf")

    def stop(self) -> None:
        """The watch is over."""
        self._stopped.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_S):
            with self._lock:
                over, doing, limit = time.monotonic() > self._until, self._doing, self._limit
            if over:
                self._end(
                    f"{self.who}: {doing} has taken longer than {limit:g} s: another process has "
                    f"ended or hangs; {REMEDY}"
                )
                return
