"""The public names: `__init__.py` imports them from here when they are asked for."""

from keras_bottleneck import (
    analysis as analysis,
    benchmarking as benchmarking,
    data as data,
    distribution as distribution,
    doctor as doctor,
    evaluation as evaluation,
    export as export,
    graph as graph,
    layers as layers,
    models as models,
    preprocessing as preprocessing,
    quantization as quantization,
    reporting as reporting,
    runs as runs,
    runtime as runtime,
    training as training,
    weights as weights,
)
from keras_bottleneck.export import (
    audit as audit,
    export_model as export_model,
)
from keras_bottleneck.graph import (
    fold as fold,
)
from keras_bottleneck.image_model import (
    model_preprocessing as model_preprocessing,
)
from keras_bottleneck.models import (
    FPN as FPN,
    CIFARResNet as CIFARResNet,
    CSPDarknet as CSPDarknet,
    MobileNetV2 as MobileNetV2,
    ResNet as ResNet,
    ResNet18 as ResNet18,
    ResNet20 as ResNet20,
    ResNet32 as ResNet32,
    ResNet34 as ResNet34,
    ResNet44 as ResNet44,
    ResNet50 as ResNet50,
    ResNet50D as ResNet50D,
    ResNet50V2 as ResNet50V2,
    ResNet56 as ResNet56,
    ResNet101 as ResNet101,
    ResNet101V2 as ResNet101V2,
    ResNet110 as ResNet110,
    ResNet152 as ResNet152,
    ResNet152V2 as ResNet152V2,
    ResNet1202 as ResNet1202,
    ResNeXt50_32x4d as ResNeXt50_32x4d,
    ResNeXt101_32x8d as ResNeXt101_32x8d,
    ResNeXt101_64x4d as ResNeXt101_64x4d,
    ResUNet as ResUNet,
    SEResNet50 as SEResNet50,
    WideResNet50_2 as WideResNet50_2,
    WideResNet101_2 as WideResNet101_2,
    embedding_model as embedding_model,
    feature_info as feature_info,
    feature_pyramid as feature_pyramid,
)
from keras_bottleneck.preprocessing import (
    Preprocessing as Preprocessing,
)
from keras_bottleneck.quantization import (
    quantize as quantize,
)
from keras_bottleneck.version import (
    __version__ as __version__,
)
