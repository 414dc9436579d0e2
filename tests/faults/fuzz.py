"""Damaged files, many, into every reader: `python -m tests.faults.fuzz --inputs 100000 --seed 0`.

Our own code must read each or refuse it in one sentence, run nothing that it says, and outlive what
native libraries do not: their crashes are counted, and each such file is given to what users call,
which has to refuse it. Exits with 1 if anything else happened.
"""

import argparse
import functools
import sys
import tempfile
from collections import Counter
from pathlib import Path

from . import readers
from .batches import content_of, outcomes
from .killing import finished
from .readers import READERS

KINDS = ("read", "refused", "crash", "hang", "defect", "harm")
BATCH = 1000
BEGINNINGS = ("`path` must be ", "`source` must be ")
# Among so many inputs there are some that the damage does not matter to, and some that it does.
ENOUGH = 150


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=3000, help="of all readers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", nargs="+", default=list(READERS), choices=list(READERS))
    parser.add_argument("--kept", type=Path, help="folder for the files that did harm")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        wholes = whole_files(Path(folder))
        shares = {name: READERS[name].share for name in options.readers if wholes[name]}
        found = {}
        for name, share in shares.items():
            count = max(1, options.inputs * share // sum(shares.values()))
            found[name] = survey(name, options.seed, count, wholes[name], options.kept)
            print(row(name, found[name]), flush=True)
    total = sum(found.values(), Counter())
    print(row("all", total))
    sys.exit(1 if total["defect"] or total["harm"] else 0)


def whole_files(folder):
    """Reader name to the contents of whole files, made by a process of their own."""
    finished(functools.partial(readers.make_seeds, folder))
    return {
        name: [path.read_bytes() for path in sorted(folder.glob(reader.seeds))]
        for name, reader in READERS.items()
    }


def survey(name, seed, count, wholes, kept=None):
    """How often each kind of outcome came of `count` inputs; what is bad is printed, and kept."""
    from keras_bottleneck.console import track

    found = Counter()
    every = (
        outcome
        for start in range(0, count, BATCH)
        for outcome in outcomes(name, seed, range(start, min(count, start + BATCH)), wholes)
    )
    for outcome in track(every, count, name):
        kind, text = outcome.kind, outcome.text
        if kind in ("read", "refused"):
            found[kind] += 1
            continue
        content = content_of(name, seed, outcome.index, wholes)
        if kind in ("crash", "hang") and (problem := let_through(name, content)) is not None:
            kind, text = "defect", f"{kind} {text}: {problem}"
        found[kind] += 1
        print(f"{name} {outcome.index}: {kind} {text}", flush=True)
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            safe = "".join(c if c.isalnum() else "_" for c in name)
            (kept / f"{safe}_{outcome.index}{READERS[name].suffix}").write_bytes(content)
    if count >= ENOUGH and not (found["read"] and found["refused"]):
        found["defect"] += 1
        print(f"{name}: whatever it is given ends in the same way", flush=True)
    return found


def let_through(name, content):
    """What is wrong with how users are told of a file that ends processes; None if nothing."""
    if READERS[name].admitted is None:
        return "it is read in the caller's own process"
    read = READERS[name].admitted()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / f"input{READERS[name].suffix}"
        path.write_bytes(content)
        try:
            read(path)
        except ValueError as error:
            one_sentence = str(error).startswith(BEGINNINGS) and "\n" not in str(error)
            return None if one_sentence else str(error)
    return "it was opened"


def row(name, found):
    numbers = "".join(f"{kind} {found[kind]:>6}   " for kind in KINDS)
    return f"{name:24} {found.total():>7} inputs:   {numbers}"


if __name__ == "__main__":
    # Once, before the forks: each of these would import TensorFlow again.
    import keras_bottleneck.export
    import keras_bottleneck.weights  # noqa: F401

    main()
