"""What is installed, what is known not to work together, and whether each runtime runs.

Works where TensorFlow, Keras or a runtime is missing, and says so.
"""

from keras_bottleneck.doctor.combinations import (
    KNOWN_BAD,
    ONEDNN_LEFT_OFF,
    ONEDNN_TURNED_ON,
    KnownBad,
)
from keras_bottleneck.doctor.diagnosis import Complaint, Diagnosis, examine
from keras_bottleneck.doctor.environment import Environment
from keras_bottleneck.doctor.trials import TRIALS, Outcome, Trial

__all__ = [
    "KNOWN_BAD",
    "ONEDNN_LEFT_OFF",
    "ONEDNN_TURNED_ON",
    "TRIALS",
    "Complaint",
    "Diagnosis",
    "Environment",
    "KnownBad",
    "Outcome",
    "Trial",
    "examine",
]
