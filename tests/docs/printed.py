"""What the Python blocks of a page print, which stands behind each of them as a `text` block."""

import contextlib
import io
import re
from pathlib import Path

BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?P<shown>\n```text\n(?P<output>.*?)^```\n)?", re.DOTALL | re.M
)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Hashes, numbers with their units of time, the lengths of lines, and what a network takes a flower
# for after a few steps differ from machine to machine.
VARYING = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "#"),
    (re.compile(r"-?\d[\d.,]*(e[+-]?\d+)?"), "#"),
    (re.compile(r"#[mμ]s\b"), "#s"),
    (re.compile(r"\b(daisy|rose|tulip)\b"), "flower"),
    (re.compile(r"[-=━─┄┈╌]+"), " "),
)


def run(page: Path, renew: bool) -> list[str]:
    """Run the Python blocks of `page` in order, as one program.

    Args:
        page: A Markdown file.
        renew: Whether to write what the blocks print into the page; else it is compared.

    Returns:
        What is shown otherwise than it was printed, as sentences.
    """
    import keras

    keras.utils.clear_session()  # Keras numbers the layers of a process
    text, namespace, differences = page.read_text("utf-8"), {}, []
    renewed, position = [], 0
    for block in BLOCK.finditer(text):
        printed = _printed(block["code"], page.name, namespace)
        shown = block["output"] or ""
        if compared(printed) != compared(shown):
            differences.append(f"{page.name} shows\n{shown}\nwhere this was printed:\n{printed}")
        code = f"```python\n{block['code']}```\n"
        output = f"\n```text\n{printed}```\n" if printed else ""
        renewed += [text[position : block.start()], code + output]
        position = block.end()
    if renew and differences:
        page.write_text("".join([*renewed, text[position:]]), "utf-8")
        return []
    return differences


def _printed(code: str, name: str, namespace: dict) -> str:
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        exec(compile(code, name, "exec"), namespace)
    lines = [line.rstrip() for line in COLOUR.sub("", stdout.getvalue()).splitlines()]
    return "".join(f"{line}\n" for line in lines).lstrip("\n")


def compared(output: str) -> list[str]:
    """The words, sorted: tables wrap their titles and sort their rows by what was measured."""
    for pattern, replacement in VARYING:
        output = pattern.sub(replacement, output)
    return sorted(output.split())
