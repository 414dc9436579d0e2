"""`list`: which networks there are."""

from keras_bottleneck.cli.outcome import Outcome


def run() -> Outcome:
    """List the networks that `train` and `finetune` know, and which have trained weights.

    Example: keras-bottleneck list
    """
    from keras_bottleneck.networks import catalogue

    table = catalogue()
    networks = [
        {
            "name": network.name,
            "title": network.title,
            "parameters": network.parameters,
            "image_size": network.image_size,
            "checkpoints": network.checkpoints,
        }
        for network in table.networks
    ]
    return Outcome(table, {"networks": networks}, ("summary", "MobileNetV2"))
