"""How names are written in a chart: in letters where a font has them, else as numbers.

The font that comes with matplotlib has no Chinese, Japanese or Korean, and draws boxes instead.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

# The first version of matplotlib that joins Arabic letters and writes from right to left.
SHAPES_TEXT = (3, 11)
# A font that shows each letter it is asked for as a box with the name of its script.
BOXES = "last resort"


@dataclass(frozen=True)
class Font:
    """A font of this machine.

    Attributes:
        family: What matplotlib calls it.
        letters: The code points that it has glyphs for.
    """

    family: str
    letters: frozenset[int] = field(repr=False)


@dataclass(frozen=True)
class Lettering:
    """How the names of one chart are written.

    Attributes:
        families: The fonts to use beside the usual one, in the order in which a letter is looked
            up in them.
        numbered: The names that no font here can write, each with the text in its place, "#" and
            its position among the names.
    """

    families: tuple[str, ...] = ()
    numbered: dict[str, str] = field(default_factory=dict)

    def __call__(self, name: str, longest: int | None = None) -> str:
        """The text to draw for `name`, of `longest` characters at the most."""
        text = self.numbered.get(name, name)
        return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"


def lettering(
    names: Sequence[str],
    usual: Font | None = None,
    others: Iterable[Font] | None = None,
    shapes: bool | None = None,
) -> Lettering:
    """The fonts that write `names`, and numbers for those that cannot be written.

    Args:
        names: Of classes, layers or a model.
        usual: The font that matplotlib uses by itself; by default the one that its settings say.
        others: The fonts to choose from where it lacks letters; by default those of the machine.
        shapes: Whether matplotlib joins Arabic letters and writes from right to left; by default
            what the installed version does.
    """
    usual = usual or _usual()
    missing = {name: _missing(name, usual.letters) for name in names}
    wanted = frozenset[int]().union(*missing.values())
    families: list[str] = []
    if wanted:
        candidates = _installed() if others is None else tuple(others)
        while font := _best(wanted, candidates):
            families.append(font.family)
            wanted -= font.letters
    if shapes is None:
        shapes = _shapes_text()
    numbered = {
        name: f"#{position}"
        for position, name in enumerate(names)
        if missing[name] & wanted or not (shapes or _is_left_to_right(name))
    }
    return Lettering(tuple(families), numbered)


def _is_left_to_right(name: str) -> bool:
    return not any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name)


def _shapes_text() -> bool:
    import matplotlib

    return tuple(matplotlib.__version_info__[:2]) >= SHAPES_TEXT


def _missing(name: str, letters: frozenset[int]) -> frozenset[int]:
    return frozenset(ord(letter) for letter in name if not letter.isspace()) - letters


def _best(wanted: frozenset[int], candidates: Sequence[Font]) -> Font | None:
    """The font with the most of the letters, the first of several; None where none has any."""
    best = max(candidates, key=lambda font: len(wanted & font.letters), default=None)
    return best if best and wanted & best.letters else None


def _usual() -> Font:
    from matplotlib import font_manager

    path = font_manager.findfont(font_manager.FontProperties())
    return Font("sans-serif", _letters(path))


@cache
def _installed() -> tuple[Font, ...]:
    """The outline fonts of this machine, upright ones of normal weight first."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    # The manager keeps its list in a file, which can be older than the fonts.
    listed = {entry.fname for entry in manager.ttflist}
    for path in set(font_manager.findSystemFonts()) - listed:
        try:
            manager.addfont(path)
        except (OSError, RuntimeError, ValueError):  # no font that FreeType can open
            continue
    entries = {entry.name: entry for entry in sorted(manager.ttflist, key=_oddness, reverse=True)}
    return tuple(
        Font(name, _letters(entry.fname))
        for name, entry in sorted(entries.items(), key=lambda pair: _oddness(pair[1]))
        if BOXES not in name.lower()
    )


def _oddness(entry: object) -> tuple[bool, bool, str]:
    weight, style = getattr(entry, "weight", 400), getattr(entry, "style", "normal")
    return style != "normal", str(weight) not in ("400", "normal", "regular"), str(entry)


@cache
def _letters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()
