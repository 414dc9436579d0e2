"""Which process of how many this is, from arguments and from variables of launchers."""

import pytest

from keras_bottleneck.distribution import environment
from keras_bottleneck.distribution.environment import Cluster, check_alone, cluster

KERAS = {
    "KERAS_DISTRIBUTION_JOB_ADDRESSES": "10.0.0.1:1234,10.0.0.2:1234",
    "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
    "KERAS_DISTRIBUTION_PROCESS_ID": "1",
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in (*environment.COORDINATOR, *environment.PROCESSES, *environment.PROCESS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def variables(monkeypatch):
    """A function that sets variables for one test."""

    def set_all(values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


def test_nothing_is_left_to_jax():
    assert cluster() == Cluster(None, None, None)


def test_variables_of_keras(variables):
    variables(KERAS)
    assert cluster() == Cluster("10.0.0.1:1234", 2, 1)


def test_arguments_win(variables):
    variables(KERAS)
    assert cluster("host:99", 3, 0) == Cluster("host:99", 3, 0)


@pytest.mark.parametrize(
    "launcher",
    [
        {"SLURM_NTASKS": "4", "SLURM_PROCID": "3"},
        {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3"},
        {"KERAS_DISTRIBUTION_NUM_PROCESSES": "4", "JOB_COMPLETION_INDEX": "3"},
    ],
    ids=["slurm", "openmpi", "kubernetes"],
)
def test_numbers_of_launchers_count_where_the_coordinator_is_known(variables, launcher):
    variables({"JAX_COORDINATOR_ADDRESS": "10.0.0.1:1234", **launcher})
    assert cluster() == Cluster("10.0.0.1:1234", 4, 3)


@pytest.mark.parametrize(
    "launcher",
    [
        {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"},
        {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"},
        {"JOB_COMPLETION_INDEX": "0"},
    ],
    ids=["slurm", "openmpi", "kubernetes"],
)
def test_without_a_coordinator_they_are_left_to_jax(variables, launcher):
    variables(launcher)
    assert cluster() == Cluster(None, None, None)
    # Where jax finds none either, as many trainings would write into one folder.
    with pytest.raises(ValueError, match="`coordinator` must be given where there are several"):
        check_alone()


@pytest.mark.parametrize("launcher", [{}, {"SLURM_NTASKS": "4"}, {"OMPI_COMM_WORLD_SIZE": "1"}])
def test_one_process_may_train_alone(variables, launcher):
    variables(launcher)
    assert check_alone() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("host", 2, 0), r"`coordinator` must be an address such as '10.0.0.1:1234'. Received"),
        (("host:0", 2, 0), "`coordinator` must be an address"),
        ((":99", 2, 0), "`coordinator` must be an address"),
        (("host:99", 2, 2), "`process` must be below `processes`, which is 2. Received: process=2"),
        (("host:99", 0, 0), "`processes` must be an integer of at least 1"),
        (("host:99", 2, -1), "`process` must be an integer of at least 0"),
        (
            ("host:99", 2, None),
            "`process` must be given .* or set in KERAS_DISTRIBUTION_PROCESS_ID",
        ),
        (("host:99", None, 0), "`processes` must be given .* KERAS_DISTRIBUTION_NUM_PROCESSES"),
        ((None, 2, 0), "`coordinator` must be given .* KERAS_DISTRIBUTION_JOB_ADDRESSES"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        cluster(*arguments)


@pytest.mark.parametrize("text", ["two", "-1", "1.0", "²"])
def test_wrong_variables(variables, text):
    variables({**KERAS, "KERAS_DISTRIBUTION_PROCESS_ID": text})
    with pytest.raises(ValueError, match="`KERAS_DISTRIBUTION_PROCESS_ID` must be an integer"):
        cluster()
