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
                for row in one.published
            ],
        }
        for one in found.networks
    ]
    return Outcome(found, {"networks": networks}, ("summary", "MobileNetV2"))
