"""What this machine's processor can do with 8-bit numbers."""

import platform
import re
from pathlib import Path

FLAGS = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp")
# Those of processors that add the products of 8-bit numbers in 32 bits.
EXACT = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})
X86 = ("x86_64", "amd64")
# Of two neighbouring codes of a kernel, whose products do not overflow there.
LARGEST_SUM = 128


def flags() -> frozenset[str] | None:
    """Those of `FLAGS` that Linux reports; None on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return None
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(line[1].split()) & frozenset(FLAGS) if line else None


def lacks_vnni() -> bool:
    """Whether this is an x86 processor of which the system tells that it has no VNNI."""
    known = flags()
    return platform.machine().lower() in X86 and known is not None and not known & EXACT


def may_saturate() -> bool:
    """Whether ONNX Runtime's int8 products may saturate here.

    They do on x86 processors without VNNI; where the system does not list the features of the
    processor, they might.
    """
    return platform.machine().lower() in X86 and not (flags() or frozenset()) & EXACT
