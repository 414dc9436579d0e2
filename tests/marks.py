"""Marks of cases."""

import pytest


def some_full(names, full):
    """`names` as cases, those in `full` marked so: CI leaves them out, for the others stand."""
    return [pytest.param(name, marks=pytest.mark.full if name in full else ()) for name in names]
