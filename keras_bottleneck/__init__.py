"""Residual CNNs for Keras 3: train with `model.fit`, ship files that have been run and compared.

A name is imported when it is asked for. Where keras is not installed (a device with numpy, pillow
and a runtime), or is broken, `runtime`, `preprocessing` and `doctor` work all the same.
"""

import importlib

from keras_bottleneck import lazy, registration

_HOMES = lazy.homes(__file__)
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    """The name `name`, imported now."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    try:
        if home == __name__:
            return importlib.import_module(f"{__name__}.{name}")
        value = getattr(importlib.import_module(home), name)
    except Exception:  # a broken backend raises anything
        from keras_bottleneck import keras_here

        failure = keras_here.failure()
        if failure is None:
            raise
        raise ImportError(f"{__name__}.{name} is not there: {failure}.") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


registration.begin()
