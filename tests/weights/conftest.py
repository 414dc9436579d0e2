"""How a refusal is judged: one sentence, and a model that is as it was."""

import keras
import numpy as np
import pytest

from keras_bottleneck import weights


@pytest.fixture(autouse=True)
def room_for_the_next(request):
    """Lets go of the networks of slow tests, which together take up more memory than there is."""
    yield
    if request.node.get_closest_marker("slow"):
        keras.utils.clear_session(free_memory=True)


@pytest.fixture
def refused():
    """A function: the message with which `load` refuses, after checking its shape and the model."""

    def check(model, source, **arguments):
        before = [np.array(one) for one in model.get_weights()]
        with pytest.raises(ValueError) as error:
            weights.load(model, source, **arguments)
        after = model.get_weights()
        assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
        message = str(error.value)
        assert message.startswith("`"), message
        assert "Received: " in message
        assert message.isprintable(), message
        assert len(message) < 4000
        return message

    return check
