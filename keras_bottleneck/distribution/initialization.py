"""`initialize`: the devices that a training is going to use."""

from typing import Any

import keras

from keras_bottleneck import checks
from keras_bottleneck.distribution.agreement import meet
from keras_bottleneck.distribution.ending import TRY_AGAIN, DistributionError, leave_at_once
from keras_bottleneck.distribution.environment import Cluster, check_alone, cluster
from keras_bottleneck.distribution.job import Job
from keras_bottleneck.distribution.parts import Part
from keras_bottleneck.distribution.watchdog import Watchdog

# What jax says where nothing is there to find.
NO_CLUSTER = "coordinator_address should be defined"


def initialize(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    seed: int = 0,
    step_timeout_s: float = 30.0,
    pause_timeout_s: float = 600.0,
    heartbeat_timeout_s: int = 40,
) -> Job:
    """Every device of this machine, or of all machines of a job, for one training.

    Call it first, before anything computes, in every process of the job. Which process this is
    follows from the arguments, or the environment: see `cluster`. Where neither tells, this
    process is alone, and trains on the devices of this machine: all GPUs, or else the (logical)
    CPUs.

    Several processes need the JAX backend. Where one of them ends or hangs, all others end with a
    sentence on stderr, exit code 75 where they know why, and within `step_timeout_s` amid an
    epoch, else within `heartbeat_timeout_s`. (jax itself waits for 100 s, and for ever for a
    process that is alive.) Then start all again.

    Args:
        coordinator: "host:port" of process 0; the port has to be free there.
        processes: How many there are.
        process: The number of this one, from 0.
        seed: Of weights, dropout and augmentation, set by `keras.utils.set_random_seed`: it has to
            be the same everywhere.
        step_timeout_s: How long one step may take after the first of an epoch, in seconds.
        pause_timeout_s: How long it may take until the first step, where functions are compiled;
            between two epochs, where files are written; and until all processes are there.
        heartbeat_timeout_s: How long a process may be silent, in seconds.

    Returns:
        The `Job`, a context manager.

    Raises:
        ValueError: If an argument or a variable of the environment is wrong, several processes are
            to train on another backend than JAX, or something has been computed before.
        DistributionError: If jax cannot reach the other processes.

    Example:
        >>> with initialize() as job:  # doctest: +SKIP
        ...     model = ResNet20()
        ...     job.fit(Recipe(batch_size=256), model, (images, labels))
    """
    checks.number("step_timeout_s", step_timeout_s, above=True)
    checks.number("pause_timeout_s", pause_timeout_s, above=True)
    checks.integer("heartbeat_timeout_s", heartbeat_timeout_s)
    checks.integer("seed", seed, minimum=0)
    members = cluster(coordinator, processes, process)
    backend = keras.config.backend()
    if backend == "jax":
        part, scope = _on_jax(members, int(pause_timeout_s), heartbeat_timeout_s)
    elif backend == "tensorflow":
        part, scope = _on_tensorflow(members)
    else:
        raise ValueError(
            "`initialize` needs Keras on the jax or tensorflow backend. Received: "
            f"KERAS_BACKEND={backend}"
        )
    keras.utils.set_random_seed(seed)
    return Job(part, scope, step_timeout_s, pause_timeout_s)


def _on_jax(members: Cluster, pause_s: int, heartbeat_s: int) -> tuple[Part, Any]:
    import jax

    if not jax.distributed.is_initialized():
        _join(members, pause_s, heartbeat_s)
    part = Part(jax.process_index(), jax.process_count(), jax.device_count())

    def scope() -> Any:
        # Data are divided before Keras sees them.
        return keras.distribution.DataParallel(auto_shard_dataset=False).scope()

    return part, scope


def _join(members: Cluster, pause_s: int, heartbeat_s: int) -> None:
    """Meet the other processes, if there are any."""
    import jax

    number = "" if members.process is None else f" {members.process} of {members.processes}"
    dog = Watchdog(f"process{number}")
    # Where jax loses patience first, it aborts the process with a stack trace.
    dog.expect(f"meeting the others at {members.coordinator or 'the coordinator'}", pause_s)
    try:
        jax.distributed.initialize(
            *members, initialization_timeout=2 * pause_s, heartbeat_timeout_seconds=heartbeat_s
        )
        # Gloo connects at the first collective, and waits for no more than 30 s: now all are here.
        meet()
    except ValueError as error:
        if NO_CLUSTER not in str(error):
            raise checks.reject(
                "coordinator", members.coordinator, checks.first_line(error)
            ) from None
        check_alone()
    except RuntimeError as error:
        if "must be called before" in str(error):
            if members.processes is None:
                check_alone()
                return
            raise ValueError(
                "`initialize` must be called before anything computes, in the first lines of a "
                "program. Received: a call after JAX had begun to"
            ) from None
        leave_at_once(TRY_AGAIN)
        raise DistributionError(
            f"process{number} has not met the others: {checks.first_line(error)}"
        ) from None
    finally:
        dog.stop()


def _on_tensorflow(members: Cluster) -> tuple[Part, Any]:
    if members.processes not in (None, 1):
        raise ValueError(
            "`processes` must be 1 on the tensorflow backend, because Keras 3 cannot train with "
            "MultiWorkerMirroredStrategy (https://github.com/keras-team/keras/issues/20585): take "
            f"the jax backend for several machines. Received: processes={members.processes}"
        )
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    return Part(0, 1, len(devices)), strategy.scope
