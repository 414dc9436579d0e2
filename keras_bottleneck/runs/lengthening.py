"""More epochs for a run than were planned: what is added, and how it is trained."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.export import load_model
from keras_bottleneck.files import replace_file
from keras_bottleneck.runs.folder import Kind, Run, recipe_of
from keras_bottleneck.training import FineTune
from keras_bottleneck.training.loop import Standing


def with_epochs(run: Run, epochs: Any) -> list[dict[str, Any]]:
    """The parts of a run that is to have `epochs` in all, with the one that is added.

    Its learning rate begins, after a warm-up, where a training planned with so many epochs would
    stand by now, and falls to 0 along a half cosine of its own. A low constant rate would waste
    many epochs, and the peak of a fresh training would undo what few of them could mend.

    Source: Loshchilov & Hutter 2017, "SGDR", for the cosine that begins anew.

    Raises:
        ValueError: If the run has as many epochs already.
    """
    checks.integer("epochs", epochs)
    if epochs <= run.epochs:
        raise checks.reject("epochs", epochs, f"more than the {run.epochs} that the run has")
    share = (1 + math.cos(math.pi * run.epochs / epochs)) / 2
    rate = run.config["settings"]["learning_rate"] * share
    added = {"epochs": epochs - run.epochs, "learning_rate": rate, "after": None}
    return [*run.lengthened, added]


def begin(run: Run) -> Run:
    """The next part begins, from the best network so far."""
    parts = run.lengthened
    part = next(part for part in parts if part["after"] is None)
    part["after"] = len(run.rows())
    return run.with_parts(parts)


def recipe_of_part(run: Run, kind: type[Kind]) -> Kind:
    """The recipe of what the run is at: as it was planned, or of the part that has been added."""
    recipe = recipe_of(run, kind)
    if run.part is None:
        return recipe
    changed = {name: run.part[name] for name in ("epochs", "learning_rate")}
    if isinstance(recipe, FineTune):  # its last phase alone
        changed |= {"head_epochs": 0, "stage_epochs": 0}
    return dataclasses.replace(recipe, **changed)


def standing(run: Run) -> Standing | None:
    """Where the run stood when its part began; None for what was planned."""
    if run.part is None:
        return None
    best = run.best_row(run.rows()[: run.part["after"]])
    if best is None:
        raise checks.reject("run", str(run.path), "one with a validated epoch, to be lengthened")
    return Standing(run.part["after"], best[run.config["settings"]["monitor"]])


def network(run: Run) -> keras.Model:
    """The best network from before the part.

    It is kept in a file of its own: that of the best network may get another one before the first
    checkpoint of the part is written.
    """
    part = run.part
    if part and len(run.rows()) <= part["after"] and not run.start.exists():
        replace_file(run.start, run.best.read_bytes())
    # Dropout draws what it has not drawn before; no file holds its seeds.
    number = sum(one["after"] is not None for one in run.lengthened)
    keras.utils.set_random_seed(run.seed + number)
    # Where it is gone, the part is trained, and its last checkpoint has the weights.
    return load_model(run.start if run.start.exists() else run.best)[0]


def sentences(run: Run) -> Iterator[str]:
    """What was added to the training, a sentence for each part."""
    planned = int(run.config["settings"]["epochs"])
    phase = " of its last phase" if run.config["verb"] == "finetune" else ""
    for part in run.lengthened:
        yield (
            f"{part['epochs']} epochs were added to the {planned}{phase} that were planned: they "
            "begin with the best weights so far and a fresh optimizer, and the learning rate rises "
            f"to {part['learning_rate']:.3g} and falls to 0 along a half cosine of its own."
        )
        planned += part["epochs"]
