"""Import, construction, loading and export: this package against Keras's own.

Every turn is a fresh Python process, since converters leak memory and caches flatter the second.
Seconds are those of the work alone, without imports (but for the event about imports); peak memory
is the largest of the whole process. Construction alone takes turns in one process, whose caches are
emptied before each, and is measured in seconds of the processor.

    python benchmarks/build.py --rounds 5 --output build.json
"""

import argparse
import gc
import json
import statistics
import tempfile
from functools import partial
from pathlib import Path

from alone import Cost, alone
from turns import Contender, Event, show, write

TIMED = """
import json, os, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
{prepare}
start, cpu = time.perf_counter(), time.process_time()
{work}
print(json.dumps([time.perf_counter() - start, time.process_time() - cpu]))
"""
KERAS = "import keras"
OURS = "import keras, tensorflow, keras_bottleneck as kb"
MODEL = "model = keras.applications.ResNet50(weights=None)"


def timed(work: str, prepare: str) -> Cost:
    whole = alone("-c", TIMED.format(prepare=prepare, work=work))
    seconds, cpu_seconds = json.loads(whole.printed.strip().splitlines()[-1])
    return Cost(seconds, cpu_seconds, whole.peak_mib, whole.printed)


def event(title: str, rounds: int, works: dict[str, tuple[str, str]]) -> Event:
    """`works` is by name of the contender: what is timed, and what comes before."""
    contenders = [Contender(name, lambda: None) for name in works]
    peaks: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds):
        for one in contenders[:: -1 if number % 2 else 1]:
            cost = timed(*works[one.name])
            one.seconds.append(cost.seconds)
            one.cpu_seconds.append(cost.cpu_seconds)
            peaks[one.name].append(cost.peak_mib)
    for one in contenders:
        one.peak_mib = statistics.median(peaks[one.name])
    return Event(title, contenders)


def imports(rounds: int) -> Event:
    works = {
        "import keras_bottleneck": ("import keras_bottleneck", ""),
        "import keras": ("import keras", ""),
    }
    return event("Import, each in a fresh process", rounds, works)


def construction(name: str, rounds: int) -> Event:
    import keras

    import keras_bottleneck as kb

    contenders = [
        Contender("keras_bottleneck", getattr(kb, name)),
        Contender("keras.applications", partial(getattr(keras.applications, name), weights=None)),
    ]
    for number in range(rounds + 1):
        for one in contenders[:: -1 if number % 2 else 1]:
            keras.utils.clear_session()
            gc.collect()
            one.take_turn()
    for one in contenders:
        # The first turn warms up.
        one.cpu_seconds = one.seconds = one.cpu_seconds[1:]
    return Event(f"Construction of {name}, in seconds of the processor", contenders)


def loading(name: str, rounds: int, folder: Path) -> Event:
    works = {}
    for package, build in (("keras_bottleneck", f"kb.{name}()"), (None, None)):
        package = package or "keras.applications"
        build = build or f"keras.applications.{name}(weights=None)"
        path = str(folder / f"{package}.keras")
        timed(f"{build}.save({path!r})", OURS)
        works[package] = (f"keras.saving.load_model({path!r})", OURS)
    return event(f"Loading of {name} from its .keras file", rounds, works)


def export(name: str, rounds: int, folder: Path) -> Event:
    """SavedModel, TFLite and ONNX: ours with verification, Keras's own without."""
    build = f"model = kb.{name}()"
    target = str(folder / "ours")
    theirs = "; ".join(
        f"model.export({str(folder / file)!r}, format={kind!r}, verbose=False)"
        for kind, file in (
            ("tf_saved_model", "saved_model"),
            ("litert", "model.tflite"),
            ("onnx", "model.onnx"),
        )
    )
    ours = f"kb.export_model(model, {target!r}, verify=images)"
    images = "import numpy as np; images = np.random.normal(size=(16, 224, 224, 3)).astype('f')"
    works = {
        "export_model, files run and compared": (ours, f"{OURS}\n{images}\n{build}"),
        "Keras's three exports, files not run": (theirs, f"{OURS}\n{images}\n{build}"),
    }
    return event(f"Export of {name} to SavedModel, TFLite and ONNX", rounds, works)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["ResNet50", "ResNet152", "MobileNetV2"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--export-rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=("import", "construct", "load", "export"))
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    arguments = parser.parse_args()
    wanted = arguments.only or ("import", "construct", "load", "export")
    with tempfile.TemporaryDirectory() as scratch:
        folder, first = Path(scratch), arguments.networks[0]
        events = []
        if "import" in wanted:
            events.append(imports(arguments.rounds))
            show(events[-1])
        for name in arguments.networks if "construct" in wanted else ():
            events.append(construction(name, arguments.rounds))
            show(events[-1])
        if "load" in wanted:
            events.append(loading(first, arguments.rounds, folder))
            show(events[-1])
        if "export" in wanted:
            events.append(export(first, arguments.export_rounds, folder))
            show(events[-1])
    if arguments.output:
        write(events, arguments.output, "keras", "tensorflow", "tf2onnx", "onnx")


if __name__ == "__main__":
    main()
