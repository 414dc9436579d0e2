"""Asks a vulnerability service about every release that CI installs.

    python .ci/audit.py                 # of PyPI
    python .ci/audit.py -s osv          # or whatever else pip-audit takes

Where no service can be reached, pip-audit finds no vulnerability in anything, or fails as it does
for a package that nobody knows. So the service is first asked about a release that is known to be
vulnerable: if it does not know of that either, NOT AUDITED is printed, and the exit status is 0.
Otherwise the status is that of `pip-audit --strict`: 1 if a locked release is vulnerable.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

LOCKS = Path(__file__).parent / "lock"
VULNERABLE = "jinja2==2.10"


def main() -> int:
    """Ask about the vulnerable release, then about the locked ones."""
    options = sys.argv[1:]
    why = unanswered(options)
    if why is not None:
        print(f"NOT AUDITED: the service does not know that {VULNERABLE} is vulnerable. {why}")
        return 0
    locks = [option for lock in sorted(LOCKS.glob("*.txt")) for option in ("-r", str(lock))]
    return pip_audit("--strict", "--require-hashes", *locks, *options).returncode


def unanswered(options: list[str]) -> str | None:
    """What pip-audit said instead of naming a vulnerability of `VULNERABLE`; None if it did."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(VULNERABLE)
        file.flush()
        run = pip_audit("--no-deps", "--format", "json", "-r", file.name, *options, capture=True)
    try:
        if any(one.get("vulns") for one in json.loads(run.stdout)["dependencies"]):
            return None
    except ValueError:
        pass
    return (run.stderr.strip().splitlines() or [""])[-1]


def pip_audit(*options: str, capture: bool = False) -> subprocess.CompletedProcess:
    """Run pip-audit with `options`; nothing that it is told of is installed or resolved."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--progress-spinner", "off"]
    return subprocess.run([*command, *options], capture_output=capture, text=True)


if __name__ == "__main__":
    sys.exit(main())
