"""A few thousand damaged files in CI; see `fuzz` for a hundred thousand."""

import json
import random
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from . import mutating
from .batches import content_of
from .readers import READERS

pytest.importorskip("tensorflow", reason="the whole files are exported")
REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
def test_no_damaged_file_does_more_than_be_refused():
    command = [sys.executable, "-m", "tests.faults.fuzz", "--inputs", "2500"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "defect      0   harm      0" in done.stdout.splitlines()[-1]


def test_the_same_seed_gives_the_same_files():
    wholes = [bytes(range(256)) * 20, b"0123456789" * 100]
    first, again, other = (
        [content_of("LiteRT", seed, index, wholes) for index in range(200)] for seed in (0, 0, 1)
    )
    assert first == again
    assert sum(one != two for one, two in zip(first, other, strict=True)) > 150
    assert sum(one in wholes for one in first) < 10


def test_damage_inside_archives_leaves_them_whole():
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.json", json.dumps({"a": [1, 2, {"b": "c"}]}))
        archive.writestr("b", bytes(1000))
    changed = whole = 0
    for seed in range(200):
        content = mutating.damaged_archive(random.Random(seed), [file.getvalue()])
        try:
            with zipfile.ZipFile(BytesIO(content)) as archive:
                whole += archive.testzip() is None
                changed += archive.read("b") != bytes(1000)
        except (zipfile.BadZipFile, KeyError, NotImplementedError, ValueError, OSError):
            continue
    assert whole > 100
    assert changed > 30


def test_the_shares_are_parts_of_a_thousand():
    assert sum(reader.share for reader in READERS.values()) == 1000
