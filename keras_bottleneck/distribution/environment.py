"""Which process of how many this is, and the address of the first one, as launchers set them."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from keras_bottleneck import checks

# Keras's own names come first. Those of launchers count where the coordinator is known, because
# they are also set in allocations and pods where one process runs alone.
COORDINATOR = ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "JAX_COORDINATOR_ADDRESS")
PROCESSES = ("KERAS_DISTRIBUTION_NUM_PROCESSES", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")
PROCESS = (
    "KERAS_DISTRIBUTION_PROCESS_ID",
    "SLURM_PROCID",
    "JOB_COMPLETION_INDEX",
    "OMPI_COMM_WORLD_RANK",
)


class Cluster(NamedTuple):
    """The processes of a job, and which of them this is.

    Attributes:
        coordinator: "host:port" of process 0; None where jax has to find it.
        processes: How many there are; None where jax has to find it.
        process: The number of this one, from 0; None where jax has to find it.
    """

    coordinator: str | None
    processes: int | None
    process: int | None


def cluster(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> Cluster:
    """The processes by the arguments, and by the environment where these are None.

    The variables are those of Keras (`KERAS_DISTRIBUTION_JOB_ADDRESSES`, the first of several
    addresses counts, `KERAS_DISTRIBUTION_NUM_PROCESSES`, `KERAS_DISTRIBUTION_PROCESS_ID`) and
    `JAX_COORDINATOR_ADDRESS`; where the coordinator is known, numbers are also taken from SLURM,
    Open MPI and the completion index of a Kubernetes job. Without a coordinator, all is left to
    jax, which knows SLURM, Open MPI, Cloud TPUs and, with its extra `k8s`, Kubernetes.

    Args:
        coordinator: "host:port" of process 0, a port that is free there.
        processes: How many there are.
        process: The number of this one, from 0.

    Returns:
        The `Cluster`; all None where only jax may know.

    Raises:
        ValueError: If a part is wrong, or only some of the three are known.

    Example:
        >>> cluster("10.0.0.1:1234", processes=2, process=1).process
        1
    """
    address = coordinator if coordinator is not None else _set(COORDINATOR)[1]
    known = slice(None) if address is not None else slice(1)
    count = _number("processes", processes, PROCESSES[known], minimum=1)
    number = _number("process", process, PROCESS[known], minimum=0)
    if address is None and count is None and number is None:
        return Cluster(None, None, None)
    if address is None:
        raise _missing("coordinator", COORDINATOR)
    if count is None:
        raise _missing("processes", PROCESSES)
    if number is None:
        raise _missing("process", PROCESS)
    if number >= count:
        raise checks.reject("process", number, f"below `processes`, which is {count}")
    return Cluster(_checked(address), count, number)


def check_alone() -> None:
    """Refuses to train alone where a launcher says that this is one process of several.

    Raises:
        ValueError: If it does.
    """
    count = _number("processes", None, PROCESSES, minimum=1)
    number = _set(PROCESS)[1]
    if number is not None and (count is None or count > 1):
        raise _missing("coordinator", COORDINATOR)


def _set(variables: Sequence[str]) -> tuple[str, str | None]:
    """The first of `variables` that is set, and its value; None where none is."""
    variable = next((name for name in variables if os.environ.get(name)), variables[0])
    return variable, os.environ.get(variable) or None


def _number(name: str, given: Any, variables: Sequence[str], minimum: int) -> int | None:
    if given is not None:
        return checks.integer(name, given, minimum)
    variable, text = _set(variables)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or int(text) < minimum:
        raise checks.reject(variable, text, f"an integer of at least {minimum}")
    return int(text)


def _checked(address: Any) -> str:
    """The first of the addresses that commas separate."""
    first = address.split(",")[0].strip() if isinstance(address, str) else ""
    host, _, port = first.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise checks.reject("coordinator", address, "an address such as '10.0.0.1:1234'")
    return first


def _missing(name: str, variables: Sequence[str]) -> ValueError:
    accepted = f"given where there are several processes, or set in {' or '.join(variables)}"
    return checks.reject(name, None, accepted)
