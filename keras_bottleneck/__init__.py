"""Residual CNNs for Keras 3: train with `model.fit`, ship files that have been run and compared.

Where keras is not installed (a device with numpy, pillow and a runtime), or is broken, `runtime`,
`preprocessing` and `doctor` work all the same.
"""

from typing import TYPE_CHECKING

from keras_bottleneck import doctor, keras_here, preprocessing, runtime
from keras_bottleneck.preprocessing import Preprocessing
from keras_bottleneck.version import __version__

__all__ = ["Preprocessing", "__version__", "doctor", "preprocessing", "runtime"]

_without_keras = keras_here.failure()
if _without_keras is None:
    from keras_bottleneck import (
        analysis,
        benchmarking,
        data,
        distribution,
        export,
        graph,
        layers,
        models,
        quantization,
        reporting,
        runs,
        training,
        weights,
    )
    from keras_bottleneck.export import audit, export_model
    from keras_bottleneck.graph import fold
    from keras_bottleneck.image_model import model_preprocessing
    from keras_bottleneck.models import (
        FPN,
        CIFARResNet,
        CSPDarknet,
        MobileNetV2,
        ResNet,
        ResNet18,
        ResNet20,
        ResNet32,
        ResNet34,
        ResNet44,
        ResNet50,
        ResNet50D,
        ResNet50V2,
        ResNet56,
        ResNet101,
        ResNet101V2,
        ResNet110,
        ResNet152,
        ResNet152V2,
        ResNet1202,
        ResNeXt50_32x4d,
        ResNeXt101_32x8d,
        ResNeXt101_64x4d,
        ResUNet,
        SEResNet50,
        WideResNet50_2,
        WideResNet101_2,
        embedding_model,
        feature_info,
        feature_pyramid,
    )
    from keras_bottleneck.quantization import quantize

    __all__ += [
        "CIFARResNet",
        "CSPDarknet",
        "FPN",
        "MobileNetV2",
        "ResNeXt101_32x8d",
        "ResNeXt101_64x4d",
        "ResNeXt50_32x4d",
        "ResNet",
        "ResNet101",
        "ResNet101V2",
        "ResNet110",
        "ResNet1202",
        "ResNet152",
        "ResNet152V2",
        "ResNet18",
        "ResNet20",
        "ResNet32",
        "ResNet34",
        "ResNet44",
        "ResNet50",
        "ResNet50D",
        "ResNet50V2",
        "ResNet56",
        "ResUNet",
        "SEResNet50",
        "WideResNet101_2",
        "WideResNet50_2",
        "analysis",
        "audit",
        "benchmarking",
        "data",
        "distribution",
        "embedding_model",
        "export",
        "export_model",
        "feature_info",
        "feature_pyramid",
        "fold",
        "graph",
        "layers",
        "model_preprocessing",
        "models",
        "quantization",
        "quantize",
        "reporting",
        "runs",
        "training",
        "weights",
    ]

if _without_keras is not None and not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Says why what needs Keras is not here."""
        if name.startswith("_"):
            raise AttributeError(name)
        raise ImportError(f"keras_bottleneck.{name} is not there: {_without_keras}.")
