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
            "published": [
                {
                    "name": row.name,
                    "publisher": row.publisher,
                    "top1": row.top1,
                    "image_size": row.image_size,
                    "alpha": row.alpha,
                    "hash": row.hash,
                    "needs": row.needs or None,
                }
                for row in network.published
            ],
        }
        for network in table.networks
    ]
    return Outcome(table, {"networks": networks}, ("summary", "MobileNetV2"))
