"""`list`: which networks there are."""

from keras_bottleneck.cli.outcome import Outcome


def run() -> Outcome:
    """List the networks that `train` and `finetune` know, and which have trained weights.

    Example: keras-bottleneck list
    """
    from keras_bottleneck.networks import catalogue

    found = catalogue()
    networks = [
        {
            "name": one.name,
            "title": one.title,
            "parameters": one.parameters,
            "image_size": one.image_size,
            "checkpoints": one.checkpoints,
        }
        for one in found.networks
    ]
    return Outcome(found, {"networks": networks}, ("summary", "MobileNetV2"))
