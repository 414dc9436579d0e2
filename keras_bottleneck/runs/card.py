"""The README.md of a run: what was trained on what, how well, and how to do it again."""

import shlex
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from keras_bottleneck import charts
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.published import rows_of
from keras_bottleneck.runs.folder import AUGMENTED, CARD, CURVES, Row, Run, columns
from keras_bottleneck.runs.lengthening import sentences
from keras_bottleneck.tasks import CLASSIFICATION, METRICS, MULTI_LABEL, REGRESSION, Metric
from keras_bottleneck.weights import find

SHOWN_CLASSES = 50
# What "classes" in config.json are.
NAMED = {CLASSIFICATION: "classes", MULTI_LABEL: "labels", REGRESSION: "numbers"}
# Arguments of the verbs that are given without their name.
POSITIONAL = {"finetune": "source"}


def write_card(run: Run) -> None:
    """Write curves.png (where matplotlib is installed) and README.md of a run with metrics.

    Raises:
        ValueError: If no epoch of the run was validated.
    """
    rows = run.rows()
    best = run.best_row(rows)
    if best is None:
        raise ValueError(f"`run` must have a validated epoch. Received: run={str(run.path)!r}")
    picture = ""
    try:
        metric = METRICS[run.task]
        chart = charts.curves(columns(rows), int(best["epoch"]), metric.name)
        run.write(CURVES, chart.png())
        picture = f"![Loss and {metric.title} over the epochs]({CURVES})\n\n"
    except ImportError as error:
        warnings.warn(
            f"{CURVES} and {AUGMENTED} are left out, they need `matplotlib`: pip install "
            f"matplotlib ({error}).",
            stacklevel=2,
        )
    if (run.path / AUGMENTED).is_file():
        picture += f"![A batch as the network sees it]({AUGMENTED})\n\n"
    run.write(CARD, _card(run, rows, best, picture))


def command(run: Run) -> str:
    """The command lines that repeat a run: one, and one for each time that it was lengthened."""
    verb, settings = run.config["verb"], dict(run.config["settings"])
    words = ["keras-bottleneck", verb]
    if verb in POSITIONAL:
        words.append(settings.pop(POSITIONAL[verb]))
    for name, value in settings.items():
        if isinstance(value, list):
            value = ",".join(value)
        if isinstance(value, dict):
            value = ",".join(f"{key}={number:g}" for key, number in value.items())
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words += [] if value else [f"--no-{option}"]  # switches are on by default
        elif value is not None:
            words += [f"--{option}", str(value)]
    lines = [[*words, "--out", str(run.path)]]
    epochs = int(run.config["settings"]["epochs"])
    for part in run.lengthened:
        epochs += part["epochs"]
        lines.append([*words[:2], "--resume", str(run.path), "--epochs", str(epochs)])
    return "\n".join(map(shlex.join, lines))


def _card(run: Run, rows: list[Row], best: Row, picture: str) -> str:
    config, settings = run.config, run.config["settings"]
    images, classes = config["images"], config["classes"]
    trained = settings.get("model") or settings["source"]
    verb = "Trained" if config["verb"] == "train" else "Fine-tuned"
    versions = ", ".join(f"{name} {version}" for name, version in config["versions"].items())
    added = "".join(f"{sentence}\n\n" for sentence in sentences(run))
    skipped = f" ({images['skipped']} unreadable files left out)" if images["skipped"] else ""
    return f"""# {trained} for {len(classes)} {NAMED[run.task]}

{verb} on {images["train"]:,} images of `{settings["data"]}`, validated on \
{images["validation"]:,} others{skipped}.

| | best epoch ({best["epoch"]:.0f} of {len(rows)}) | last epoch |
|---|---:|---:|
{_figures(METRICS[run.task], best, rows[-1])}

{added}{picture}**{NAMED[run.task].capitalize()}**: {_listed(classes)}.

**Preprocessing**: {_sentence(Preprocessing.from_dict(config["preprocessing"]))}

{_origin(settings)}\
Use it:

```python
import keras_bottleneck as kb

predictor = kb.runtime.load("best.keras")  # labels and preprocessing are in the file
predictor("photo.jpg", top=3)
```

Train it again:

```bash
{command(run)}
```

**Versions**: {versions}.
"""


def _origin(settings: Mapping[str, Any]) -> str:
    """The paragraph on the published weights of a network with a name; nothing for others."""
    model, name = settings.get("source", ""), settings.get("weights")
    if name not in [row.name for row in rows_of(model)]:
        return ""
    began = find(model, name)
    pinned = "no hash of it is pinned: the one that its server states was compared"
    if began.hash is not None:
        pinned = f"its {began.hash.partition(':')[0]} was compared with the published one"
    return (
        f"**Began with**: `{name}` of {began.publisher}, published with {began.top1:.1f}% top-1 on "
        f"ImageNet ({began.url}; {pinned}).\n\n"
    )


def _figures(metric: Metric, best: Row, last: Row) -> str:
    rows = [
        (f"validation {metric.title}", f"val_{metric.name}", metric.text),
        ("validation loss", "val_loss", "{:.4f}".format),
        (f"training {metric.title}", metric.name, metric.text),
        ("training loss", "loss", "{:.4f}".format),
    ]
    return "\n".join(
        f"| {title} | {text(best[name])} | {text(last[name])} |" for title, name, text in rows
    )


def _listed(classes: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in classes[:SHOWN_CLASSES])
    more = len(classes) - SHOWN_CLASSES
    return f"{shown} and {more:,} more" if more > 0 else shown


def _sentence(preprocessing: Preprocessing) -> str:
    height, width = preprocessing.image_size
    if preprocessing.resize == "stretch":
        resized = f"images are stretched to {height} x {width} pixels"
    else:
        share = f"{preprocessing.crop_fraction:.3g}"
        resized = f"the middle {height} x {width} pixels, {share} of the resized short side"
    mean, std = _numbers(preprocessing.mean), _numbers(preprocessing.std)
    return (
        f"{resized}, by {preprocessing.interpolation} interpolation; "
        f"{preprocessing.channels} channels ({preprocessing.color_order}); each value "
        f"becomes (pixel * {preprocessing.scale:.6g} - {mean}) / {std}."
    )


def _numbers(values: Iterable[float]) -> str:
    figures = [f"{value:.6g}" for value in values]
    return figures[0] if len(figures) == 1 else f"({', '.join(figures)})"
