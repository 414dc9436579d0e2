"""The contents of a run folder beside its models: settings, exported files, a benchmark."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.benchmarking import BenchmarkReport
from keras_bottleneck.benchmarking.benchmark import FOLDER, RESULT
from keras_bottleneck.runs.folder import LAST
from keras_bottleneck.runtime import manifest
from keras_bottleneck.runtime.artifact import BEST, CONFIG


@dataclass(frozen=True)
class File:
    """A file or SavedModel folder.

    Attributes:
        name: Its path inside the run folder.
        size: In bytes.
        sha256: Its present hash.
        error: Its largest difference from Keras when it was exported; None if it was not compared.
        agreement: The part of the samples for which it gave the same class as Keras then.
        changed: Whether it has changed since it was exported and compared.
    """

    name: str
    size: int
    sha256: str
    error: float | None = None
    agreement: float | None = None
    changed: bool = False


def settings(run: Path) -> list[tuple[str, str]]:
    """The entries of config.json, nested ones with dots in their names; none without the file.

    Raises:
        ValueError: If the file is damaged.
    """
    path = run / CONFIG
    if not path.is_file():
        return []
    try:
        content = dict(json.loads(path.read_text()))
    except (ValueError, TypeError, OSError):
        raise _damaged(run, CONFIG) from None
    return [(name, _text(value)) for name, value in _flat(content)]


def _flat(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in content.items():
        nested = isinstance(value, dict)
        pairs += _flat(value, f"{prefix}{name}.") if nested else [(f"{prefix}{name}", value)]
    return pairs


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def benchmark(run: Path) -> BenchmarkReport | None:
    """The report of the last benchmark of this run; None if there has been none.

    Raises:
        ValueError: If its file is damaged.
    """
    path = run / FOLDER / RESULT
    if not path.is_file():
        return None
    try:
        return BenchmarkReport.from_json(path.read_text())
    except (ValueError, OSError):
        raise _damaged(run, f"{FOLDER}/{RESULT}") from None


def files(run: Path) -> list[File]:
    """The models, and the files that the manifests in the folder and its sub-folders list.

    Files that a benchmark made for itself are left out.

    Raises:
        ValueError: If a manifest is damaged.
    """
    listed = [
        File(name, manifest.size_of(run / name), manifest.sha256_of(run / name))
        for name in (BEST, LAST)
        if (run / name).is_file()
    ]
    for path in sorted(run.rglob(manifest.MANIFEST)):
        if path.relative_to(run).parts[0] != FOLDER:
            listed += _listed(run, path.parent)
    return listed


def _listed(run: Path, folder: Path) -> list[File]:
    entries = manifest.read(folder)
    listed = []
    for name, entry in entries.items():
        path = folder / name
        if not path.exists():
            continue
        sha256 = manifest.sha256_of(path)
        listed.append(
            File(
                name=path.relative_to(run).as_posix(),
                size=manifest.size_of(path),
                sha256=sha256,
                error=entry.get("max_error"),
                agreement=entry.get("agreement"),
                changed=sha256 != entry.get("sha256"),
            )
        )
    return listed


def _damaged(run: Path, name: str) -> ValueError:
    return checks.reject("run", str(run), f"a run folder with a whole {name}")
