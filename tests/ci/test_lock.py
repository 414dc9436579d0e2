"""What CI installs is locked, and what pyproject.toml asks for is what is locked."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / ".ci" / "lock"
if not LOCKS.exists():
    pytest.skip("CI's scripts are only in a checkout", allow_module_level=True)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


EXTRAS = {"tests": {"demo", "report", "test"}, "slow": {"hub", "npu", "jax", "docs"}, "jax": set()}


def asked(name):
    """What the lock `name` is for: requirements of pyproject.toml and of a file of CI's."""
    lines = (LOCKS / f"{name}.in").read_text("utf-8").splitlines()
    found = [line.split("#")[0].strip() for line in lines]
    for extra in EXTRAS[name]:
        found += PROJECT["project"]["optional-dependencies"][extra]
    if EXTRAS[name]:
        found += PROJECT["project"]["dependencies"] + PROJECT["build-system"]["requires"]
    requirements = [Requirement(line) for line in found if line]
    return [one for one in requirements if one.name != PROJECT["project"]["name"]]


def locked(name):
    text = (LOCKS / f"{name}.txt").read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", EXTRAS)
def test_every_requirement_is_locked_within_its_bounds(name):
    releases = locked(name)
    wrong = [
        f"{one} is not locked or outside its bounds; run .ci/lock/renew"
        for one in asked(name)
        if releases.get(canonicalize_name(one.name), "0") not in one.specifier
    ]
    assert not wrong


@pytest.mark.parametrize("name", EXTRAS)
def test_every_locked_release_has_a_hash(name):
    text = (LOCKS / f"{name}.txt").read_text("utf-8")
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(locked(name)) > 30
    for block in blocks:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block


def test_all_locks_agree():
    releases = {(name, version) for lock in EXTRAS for name, version in locked(lock).items()}
    assert len(releases) == len({name for name, _ in releases})


def test_jax_is_tested_without_tensorflow():
    assert "tensorflow" not in locked("jax")
