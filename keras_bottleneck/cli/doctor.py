"""`doctor`: what is installed, and whether it works together."""

import json
from typing import Annotated

import typer

from keras_bottleneck.cli.exit_codes import DONE, FAILED
from keras_bottleneck.cli.outcome import Outcome


def run(
    trials: Annotated[bool, typer.Option(help="Also run a small model in each runtime.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds that each of them may take.")] = 120.0,
) -> Outcome:
    """Say what is installed, what does not work together, and what to do about it.

    The exit code is 1 if there is a problem.

    Example: keras-bottleneck doctor
    """
    from keras_bottleneck.doctor import examine

    diagnosis = examine(trials, timeout)
    content = json.loads(diagnosis.to_json())
    return Outcome(diagnosis, content, (), FAILED if diagnosis.problems else DONE)
