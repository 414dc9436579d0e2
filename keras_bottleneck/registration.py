"""Keras knows the classes of this package as soon as both have been imported, in either order.

A module registers its classes when it is imported, and `keras.models.load_model` finds those that
are registered. The modules of this package are imported when a name of theirs is asked for: so
that a file can be loaded before that, the import of Keras brings those with classes after it.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGE = "keras_bottleneck"
WITH_CLASSES = ("image_model", "layers", "quantization", "training")


def begin() -> None:
    """Import the modules with classes now, if Keras has been imported, or else after Keras."""
    if _keras_is_here():
        _import_classes()
    else:
        sys.meta_path.insert(0, _Watch())


def _keras_is_here() -> bool:
    return sys.modules.get("keras") is not None


def _import_classes() -> None:
    for name in WITH_CLASSES:
        importlib.import_module(f"{PACKAGE}.{name}")


class _Watch(MetaPathFinder):
    """Follows the imports of Keras and of this package, up to the end of the outermost.

    Keras is often imported by one of this package's modules, which the others need as a whole.
    """

    def __init__(self) -> None:
        self.depth = 0

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of another finder, with a loader that is followed."""
        package, _, rest = name.partition(".")
        if not (name == "keras" or (package == PACKAGE and "." not in rest)):
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Followed(spec.loader, self)
        return spec

    def ended(self) -> None:
        """Import the modules with classes, if the outermost import has ended and Keras is there."""
        if self.depth == 0 and _keras_is_here() and self in sys.meta_path:
            sys.meta_path.remove(self)
            _import_classes()


class _Followed(Loader):
    """A loader that tells when its module has been executed, and is then forgotten."""

    def __init__(self, loader: Any, watch: _Watch) -> None:
        self.loader = loader
        self.watch = watch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """What the loader creates."""
        created: ModuleType | None = self.loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        """What the loader executes, and what follows the outermost import."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.watch.depth += 1
        try:
            self.loader.exec_module(module)
        finally:
            self.watch.depth -= 1
        self.watch.ended()
