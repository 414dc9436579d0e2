"""Model -> quantized model: post-training quantization and quantization-aware training."""

from keras_bottleneck.quantization.post_training import quantize

__all__ = ["quantize"]
