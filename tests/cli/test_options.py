"""The options of a training are the fields of its dataclass, and are written nowhere else."""

import dataclasses
import inspect
import re
from types import UnionType
from typing import get_args

import pytest
import typer
from typer.testing import CliRunner

import keras_bottleneck as kb
from keras_bottleneck.cli import options, sources
from keras_bottleneck.cli.finetune import run as finetune
from keras_bottleneck.cli.train import run as train

FASTER = '''
from dataclasses import dataclass
from keras_bottleneck.training import Recipe

@dataclass(frozen=True)
class Faster(Recipe):
    """A recipe with more to choose.

    Args:
        tempo: How fast, in [0, 1]: see
            `music`; None for adagio.
        epochs: Fewer.
        warm: Whether it is warm.

    The other arguments are those of `Recipe`.
    """

    tempo: float | None = 0.5
    warm: bool = False
'''


@pytest.mark.parametrize("recipe", [kb.training.Recipe, kb.training.FineTune])
def test_fields_are_read_as_dataclasses_has_them(recipe):
    found = sources.fields(options.TRAINING, recipe.__name__)
    expected = dataclasses.fields(recipe)
    assert [(one.name, one.default) for one in found] == [
        (one.name, one.default) for one in expected
    ]
    for mine, theirs in zip(found, expected, strict=True):
        kinds = (get_args(theirs.type) if isinstance(theirs.type, UnionType) else ()) or (
            theirs.type,
        )
        # A mapping comes as pairs on a command line.
        assert mine.kinds == tuple(dict if get_args(kind) else kind for kind in kinds)
        assert mine.help


@pytest.mark.parametrize(
    ("verb", "recipe"), [(train, kb.training.Recipe), (finetune, kb.training.FineTune)]
)
def test_every_field_is_an_option_with_the_same_default(verb, recipe):
    parameters = inspect.signature(verb).parameters
    for field in dataclasses.fields(recipe):
        assert parameters[field.name].default == field.default


def test_a_new_field_is_a_new_option(tmp_path):
    file = tmp_path / "faster.py"
    file.write_text(FASTER)
    given = []

    @options.of_fields("Faster", file)
    def verb(seed: int = 3, **fields):
        given.append({"seed": seed, **fields})

    app = typer.Typer()
    app.command()(verb)
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    printed = " ".join(re.sub(r"[│╭╮╰╯─]", " ", shown).split())
    assert "How fast, in [0, 1]: see `music`; None for adagio. [default: 0.5]" in printed
    assert "Fewer. [default: 10]" in printed
    for words in ([], ["--tempo", "none", "--warm", "--ema", "0.9"], ["--tempo", "1"]):
        assert CliRunner().invoke(app, words).exit_code == 0
    defaults = {one.name: one.default for one in dataclasses.fields(kb.training.Recipe)}
    usual = {**defaults, "seed": 3, "tempo": 0.5, "warm": False}
    assert given == [
        usual,
        {**usual, "tempo": None, "warm": True, "ema": 0.9},
        {**usual, "tempo": 1},
    ]
    assert CliRunner().invoke(app, ["--tempo", "allegro"]).exit_code == 2


def test_what_cannot_be_an_option_is_refused(tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text("class Recipe:\n    names: list[str] = []\n")
    with pytest.raises(LookupError, match="list"):
        sources.fields(file, "Recipe")
    with pytest.raises(LookupError, match="no class"):
        sources.fields(file, "FineTune")

    def verb(seed: int = 0):
        pass

    with pytest.raises(TypeError, match=r"takes no \*\* arguments"):
        options.of_fields("Recipe")(verb)


def test_weights_of_classes_are_pairs():
    (weights,) = [
        field
        for field in sources.fields(options.TRAINING, "Recipe")
        if field.name == "class_weights"
    ]
    parse = get_args(options._option(weights).annotation)[1].parser
    assert parse("none") is None
    assert parse("balanced") == "balanced"
    assert parse("a cat=2, dog=0.5") == {"a cat": 2.0, "dog": 0.5}
    with pytest.raises(typer.BadParameter, match="pairs such as"):
        parse("cat=two")
