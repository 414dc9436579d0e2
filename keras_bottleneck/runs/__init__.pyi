"""The public names: `__init__.py` imports them from here when they are asked for."""

from keras_bottleneck.runs.finetuning import (
    finetune as finetune,
)
from keras_bottleneck.runs.folder import (
    Run as Run,
)
from keras_bottleneck.runs.resuming import (
    resume as resume,
)
from keras_bottleneck.runs.training import (
    train as train,
)
from keras_bottleneck.runtime.artifact import (
    is_run as is_run,
)
