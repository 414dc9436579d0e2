"""What the blocks of a page print, which stands behind each of them as a `text` block."""

import contextlib
import io
import re
import shlex
from pathlib import Path

BLOCK = re.compile(
    r"^```(?P<language>python|bash)\n(?P<code>.*?)^```\n(?P<shown>\n```text\n(?P<output>.*?)^```\n)?",
    re.DOTALL | re.M,
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


def run(page: Path, renew: bool, shell: bool = False) -> list[str]:
    """Run the Python blocks of `page` in order, as one program.

    Args:
        page: A Markdown file.
        shell: Whether its shell blocks are run, too. Of those, the page may leave out what they
            print.
        renew: Whether to write what the blocks print into the page; else it is compared.

    Returns:
        What is shown otherwise than it was printed, as sentences.
    """
    import keras

    keras.utils.clear_session()  # Keras numbers the layers of a process
    text, namespace, differences = page.read_text("utf-8"), {}, []
    renewed, position = [], 0
    for block in BLOCK.finditer(text):
        is_shell = block["language"] == "bash"
        if is_shell and not shell:
            continue
        printed = _printed(block["code"], page.name, None if is_shell else namespace)
        shown = block["output"] or ""
        if is_shell and block["shown"] is None:
            continue
        if compared(printed) != compared(shown):
            differences.append(f"{page.name} shows\n{shown}\nwhere this was printed:\n{printed}")
        code = f"```{block['language']}\n{block['code']}```\n"
        output = f"\n```text\n{printed}```\n" if printed else ""
        renewed += [text[position : block.start()], code + output]
        position = block.end()
    if renew and differences:
        page.write_text("".join([*renewed, text[position:]]), "utf-8")
        return []
    return differences


def _printed(code: str, name: str, namespace: dict | None) -> str:
    """What code prints: Python in a namespace, or lines of the command where there is none."""
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        if namespace is None:
            _command(code)
        else:
            exec(compile(code, name, "exec"), namespace)
    lines = [line.rstrip() for line in COLOUR.sub("", stdout.getvalue()).splitlines()]
    return "".join(f"{line}\n" for line in lines).lstrip("\n")


def _command(lines: str) -> None:
    from keras_bottleneck.cli import main

    for line in lines.replace("\\\n", "").splitlines():
        program, *words = shlex.split(line)
        assert program == "keras-bottleneck", line
        assert main(words) == 0, line


def compared(output: str) -> list[str]:
    """The words, sorted: tables wrap their titles and sort their rows by what was measured."""
    for pattern, replacement in VARYING:
        output = pattern.sub(replacement, output)
    return sorted(output.split())
