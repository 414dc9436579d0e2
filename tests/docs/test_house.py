"""The house is as its page tells: rooms in storeys, and no imports in a circle."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def house():
    """The module that draws it."""
    spec = importlib.util.spec_from_file_location("house", DOCS / "house.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_room_imports_one_above_it(house):
    storeys = house.storeys()  # refuses circles
    heights = {room: height for height, storey in enumerate(storeys) for room in storey}
    for room, others in house.rooms().items():
        assert all(heights[other] < heights[room] for other in others), room
    assert storeys[-1] == ["cli"]


def test_no_modules_import_each_other_in_a_circle(house):
    """A package's `__init__` gathers the names of its modules, and stands above them."""
    left = house.modules()
    while free := [name for name, imported in left.items() if not imported & set(left)]:
        left = {name: imported for name, imported in left.items() if name not in free}
    assert sorted(left) == []


def test_every_room_is_on_the_page_and_drawn(house):
    table = (DOCS / "the_house.md").read_text("utf-8").split("## An image")[0]
    told = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| ([^|]*) \|", table, re.M))))
    assert told == set(house.rooms())
    drawn = house.drawing()
    assert all(f">{room}</text>" in drawn for room in told)
