"""The variables that the command sets for the libraries before it imports them.

A library that is imported leaves the environment alone; a command owns its process.
"""

import os
from collections.abc import Mapping, Sequence

from keras_bottleneck import processor
from keras_bottleneck.cli.noise import ERRORS, LEVEL

ONEDNN, ON = "TF_ENABLE_ONEDNN_OPTS", "1"
RESUME = "--resume"


def put(words: Sequence[str]) -> None:
    """Set what the command line `words` needs, in this process and those that it starts."""
    for name, value in wanted(words, os.environ).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def wanted(words: Sequence[str], given: Mapping[str, str]) -> dict[str, str | None]:
    """The variables with their values; None for one that must not be set.

    oneDNN is turned on where TensorFlow leaves it off, on x86 processors without VNNI: training is
    up to twice as fast with it. The last bits of a network depend on it, so that a run goes on as
    it began: with the setting in its folder, or if there is none, without one of the command's.

    Args:
        words: The verb and what follows it.
        given: The variables that the user has set, which are left alone otherwise.
    """
    level = {} if LEVEL in given else {LEVEL: ERRORS}
    directory = _resumed(words)
    if directory is not None:
        return {**level, **_begun_with(directory)}
    if ONEDNN in given or not processor.lacks_vnni():
        return {**level}
    return {**level, ONEDNN: ON}


def _resumed(words: Sequence[str]) -> str | None:
    """The folder behind `--resume`."""
    for place, word in enumerate(words):
        option, _, value = word.partition("=")
        if option == RESUME:
            return value or next(iter(words[place + 1 :]), None)
    return None


def _begun_with(directory: str) -> dict[str, str | None]:
    """The variables that the run in `directory` began with, as far as it tells."""
    from keras_bottleneck.runs import Run, is_run

    return dict(Run.open(directory).variables) if is_run(directory) else {}
