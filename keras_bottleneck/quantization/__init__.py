"""Model -> quantized model: post-training quantization and quantization-aware training."""

from keras_bottleneck.quantization.distillation import distill
from keras_bottleneck.quantization.post_training import quantize
from keras_bottleneck.quantization.quantizers import is_quantized
from keras_bottleneck.quantization.report import QuantizationReport
from keras_bottleneck.quantization.schedule import QuantizationSchedule
from keras_bottleneck.quantization.sensitivity import Sensitivity, sensitivity

__all__ = [
    "QuantizationReport",
    "QuantizationSchedule",
    "Sensitivity",
    "distill",
    "is_quantized",
    "quantize",
    "sensitivity",
]
