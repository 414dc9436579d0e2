"""Checkpoints of a job: process 0 writes them, all processes read them."""

import json
from collections.abc import Mapping
from typing import Any

from keras_bottleneck.distribution.agreement import check_same, number_of
from keras_bottleneck.training.checkpoints import Checkpoint, Checkpoints


class SharedCheckpoints(Checkpoints):
    """`Checkpoints` in a folder that all processes see, and one of them writes to.

    Args:
        given: Where, and how often.
        process: The number of this process.
    """

    def __init__(self, given: Checkpoints, process: int) -> None:
        super().__init__(given.folder, given.every_s)
        self.process = process

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint, which is the same one on all processes.

        Raises:
            ValueError: As `Checkpoints.newest`.
            DistributionError: If this process finds another one than process 0.
        """
        checkpoint = super().newest()
        facts = b"" if checkpoint is None else json.dumps(checkpoint.facts, sort_keys=True).encode()
        check_same(f"The newest checkpoint in {str(self.folder)!r}", number_of(facts))
        return checkpoint

    def write(self, step: int, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
        """Add a checkpoint, where this is process 0."""
        return self.process > 0 or super().write(step, arrays, facts)

    def clear(self) -> None:
        """Remove all checkpoints, where this is process 0."""
        if self.process == 0:
            super().clear()

    def hurry(self) -> None:
        """Write a checkpoint after this step, and after every step from now on."""
        self.every_s = 0.0
