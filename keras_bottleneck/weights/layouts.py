"""What other libraries call the layers of this package's networks: a table for each."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from keras_bottleneck.naming import CLASSIFIER, in_block
from keras_bottleneck.weights.facts import Facts

Blocks = Mapping[tuple[int, int], int]


@dataclass(frozen=True)
class Variable:
    """What another library calls a variable, and the axes of its tensor in Keras's order."""

    name: str
    axes: tuple[int, ...] = ()


Variables = Mapping[str, Mapping[str, Variable]]

# By kind of layer and by Keras's name of the variable.
TORCH: Variables = {
    "conv": {"kernel": Variable("weight", (2, 3, 1, 0)), "bias": Variable("bias")},
    "depthwise": {"kernel": Variable("weight", (2, 3, 0, 1)), "bias": Variable("bias")},
    "dense": {"kernel": Variable("weight", (1, 0)), "bias": Variable("bias")},
    "norm": {
        "gamma": Variable("weight"),
        "beta": Variable("bias"),
        "moving_mean": Variable("running_mean"),
        "moving_variance": Variable("running_var"),
    },
}
KERAS: Variables = {kind: {name: Variable(name) for name in names} for kind, names in TORCH.items()}


@dataclass(frozen=True)
class Layout:
    """How one library stores one family of networks.

    Attributes:
        name: What a person calls it.
        marks: Tensors that every such file holds, by which it is recognised.
        layers: Our name of a layer to theirs; empty where they are the same.
        block: What their layers of a block start with; `{stage}` and `{block}` count from 1,
            `{stage0}` and `{block0}` from 0, `{index}` counts the blocks of all stages from 1;
            `Layout.layer` has them all.
        in_block: Our name of a layer without `stage1_block1_` to theirs without `block`.
        variables: Our names of variables to theirs.
        separator: What stands between the name of a layer and that of its variable.
        facts: What the names tell about the network beside its tensors.
        wrappers: Prefixes that some files have and others do not.
        ignored: Names of variables that are of no use here.
    """

    name: str
    marks: tuple[str, ...]
    layers: Mapping[str, str] = field(default_factory=dict)
    block: str = ""
    in_block: Mapping[str, str] = field(default_factory=dict)
    variables: Variables = field(default_factory=lambda: KERAS)
    separator: str = "/"
    facts: Facts = Facts()
    wrappers: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def layer(self, name: str, blocks: Blocks) -> str | None:
        """Their name of this package's layer `name`; None where they have no such layer.

        Args:
            name: Name of a layer with weights.
            blocks: (stage, block) to a number, all counted from 1.
        """
        if not self.layers:  # this package's names
            return name
        if name in self.layers:
            return self.layers[name]
        place = in_block(name)
        if place is None or place.layer not in self.in_block:
            return None
        stage, block = place.stage, place.block
        index = blocks[stage, block]
        start = self.block.format(
            stage=stage,
            stage0=stage - 1,
            next_stage=stage + 1,
            block=block,
            block0=block - 1,
            index=index,
            index0=index - 1,
            index_behind_first=index - 2,
        )
        return start + self.in_block[place.layer]

    def part_of(self, layer: str) -> str:
        """What their layer `layer`, which no layer of the model is called, belongs to.

        Returns:
            `"shortcut"`, `"trunk"`, or `"head"` for what no line of the table could name: the
            classifier, or whatever a user has put behind the last feature map.
        """
        pattern = re.sub(r"\\\{\w+\\\}", r"\\d+", re.escape(self.block))
        found = re.match(pattern, layer)
        if found is None:
            return (
                "trunk"
                if layer in set(self.layers.values()) - {self.layers[CLASSIFIER]}
                else "head"
            )
        shortcuts = [self.in_block.get(f"shortcut_{one}") for one in ("conv", "bn")]
        return "shortcut" if layer[found.end() :] in shortcuts else "trunk"

    def tensor(self, layer: str, kind: str, variable: str) -> str:
        """Their name of the tensor of `variable` in their `layer`."""
        return f"{layer}{self.separator}{self.variables[kind][variable].name}"

    def axes(self, kind: str, variable: str) -> tuple[int, ...]:
        """The axes of their tensor of `variable` in Keras's order; empty where it is the same."""
        known = self.variables.get(kind, {})
        return known[variable].axes if variable in known else ()

    def unwrapped(self, name: str) -> str:
        """`name` of a tensor without the prefixes that training scripts and heads put before it."""
        while prefix := next((one for one in self.wrappers if name.startswith(one)), None):
            name = name.removeprefix(prefix)
        return name


def count_blocks(names: Iterable[str]) -> Blocks:
    """The (stage, block) pairs among names of this package's layers, numbered from 1."""
    places = [in_block(name) for name in names]
    pairs = sorted({(place.stage, place.block) for place in places if place})
    return {pair: number for number, pair in enumerate(pairs, start=1)}


def recognised(names: Collection[str]) -> Layout | None:
    """The layout whose marks are all among `names` of tensors."""
    for layout in LAYOUTS:
        if set(layout.marks) <= {layout.unwrapped(name) for name in names}:
            return layout
    return None


# Without its batch norm, which a folded network has not.
OWN = Layout("keras_bottleneck", marks=("stem_conv/kernel",))

# DataParallel and AveragedModel, torch.compile, Lightning, and networks that others end in.
TRAINED = ("module.", "_orig_mod.", "model.", "backbone.")
# What all layouts of PyTorch share. Batch norms and AveragedModel count what they have seen.
in_torch = partial(
    Layout,
    variables=TORCH,
    separator=".",
    wrappers=TRAINED,
    ignored=("num_batches_tracked", "n_averaged"),
)

TORCHVISION_RESNET = in_torch(
    "torchvision or timm ResNet",
    marks=("conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight"),
    layers={"stem_conv": "conv1", "stem_bn": "bn1", CLASSIFIER: "fc"},
    block="layer{stage}.{block0}.",
    in_block={
        **{"first_conv": "conv1", "first_bn": "bn1", "second_conv": "conv2", "second_bn": "bn2"},
        **{"reduce_conv": "conv1", "reduce_bn": "bn1"},
        **{"spatial_conv": "conv2", "spatial_bn": "bn2"},
        **{"expand_conv": "conv3", "expand_bn": "bn3"},
        **{"shortcut_conv": "downsample.0", "shortcut_bn": "downsample.1"},
    },
    facts=Facts(padding="symmetric"),
)
# The CIFAR networks of akamaster/pytorch_resnet_cifar10.
CIFAR_RESNET = replace(
    TORCHVISION_RESNET,
    name="CIFAR ResNet",
    marks=(*TORCHVISION_RESNET.marks, "linear.weight"),
    layers={**TORCHVISION_RESNET.layers, CLASSIFIER: "linear"},
)
TORCHVISION_MOBILENET_V2 = in_torch(
    "torchvision MobileNetV2",
    marks=("features.0.0.weight", "features.1.conv.0.0.weight"),
    layers={
        **{"stem_conv": "features.0.0", "stem_bn": "features.0.1"},
        # The first block does not expand, and what follows moves up.
        "stage1_block1_depthwise_conv": "features.1.conv.0.0",
        "stage1_block1_depthwise_bn": "features.1.conv.0.1",
        "stage1_block1_project_conv": "features.1.conv.1",
        "stage1_block1_project_bn": "features.1.conv.2",
        **{"head_conv": "features.18.0", "head_bn": "features.18.1"},
        CLASSIFIER: "classifier.1",
    },
    block="features.{index}.conv.",
    in_block={
        **{"expand_conv": "0.0", "expand_bn": "0.1"},
        **{"depthwise_conv": "1.0", "depthwise_bn": "1.1"},
        **{"project_conv": "2", "project_bn": "3"},
    },
    facts=Facts(padding="symmetric"),
)
TIMM_MOBILENET_V2 = in_torch(
    "timm MobileNetV2",
    marks=("conv_stem.weight", "blocks.0.0.conv_dw.weight"),
    layers={
        **{"stem_conv": "conv_stem", "stem_bn": "bn1"},
        "stage1_block1_depthwise_conv": "blocks.0.0.conv_dw",
        "stage1_block1_depthwise_bn": "blocks.0.0.bn1",
        "stage1_block1_project_conv": "blocks.0.0.conv_pw",
        "stage1_block1_project_bn": "blocks.0.0.bn2",
        **{"head_conv": "conv_head", "head_bn": "bn2"},
        CLASSIFIER: "classifier",
    },
    block="blocks.{stage0}.{block0}.",
    in_block={
        **{"expand_conv": "conv_pw", "expand_bn": "bn1"},
        **{"depthwise_conv": "conv_dw", "depthwise_bn": "bn2"},
        **{"project_conv": "conv_pwl", "project_bn": "bn3"},
    },
)
TRANSFORMERS_RESNET = in_torch(
    "transformers ResNet",
    marks=("embedder.embedder.convolution.weight",),
    layers={
        "stem_conv": "embedder.embedder.convolution",
        "stem_bn": "embedder.embedder.normalization",
        CLASSIFIER: "classifier.1",
    },
    block="encoder.stages.{stage0}.layers.{block0}.",
    in_block={
        **{"first_conv": "layer.0.convolution", "first_bn": "layer.0.normalization"},
        **{"second_conv": "layer.1.convolution", "second_bn": "layer.1.normalization"},
        **{"reduce_conv": "layer.0.convolution", "reduce_bn": "layer.0.normalization"},
        **{"spatial_conv": "layer.1.convolution", "spatial_bn": "layer.1.normalization"},
        **{"expand_conv": "layer.2.convolution", "expand_bn": "layer.2.normalization"},
        **{"shortcut_conv": "shortcut.convolution", "shortcut_bn": "shortcut.normalization"},
    },
    # Its epsilon is no setting; where it strides is one (`downsample_in_bottleneck`).
    facts=Facts(padding="symmetric", epsilon=1e-5),
    wrappers=(*TRAINED, "resnet."),
)
TRANSFORMERS_MOBILENET_V2 = in_torch(
    "transformers MobileNetV2",
    marks=("conv_stem.first_conv.convolution.weight",),
    layers={
        "stem_conv": "conv_stem.first_conv.convolution",
        "stem_bn": "conv_stem.first_conv.normalization",
        "stage1_block1_depthwise_conv": "conv_stem.conv_3x3.convolution",
        "stage1_block1_depthwise_bn": "conv_stem.conv_3x3.normalization",
        "stage1_block1_project_conv": "conv_stem.reduce_1x1.convolution",
        "stage1_block1_project_bn": "conv_stem.reduce_1x1.normalization",
        **{"head_conv": "conv_1x1.convolution", "head_bn": "conv_1x1.normalization"},
        CLASSIFIER: "classifier",
    },
    block="layer.{index_behind_first}.",
    in_block={
        **{"expand_conv": "expand_1x1.convolution", "expand_bn": "expand_1x1.normalization"},
        **{"depthwise_conv": "conv_3x3.convolution", "depthwise_bn": "conv_3x3.normalization"},
        **{"project_conv": "reduce_1x1.convolution", "project_bn": "reduce_1x1.normalization"},
    },
    wrappers=(*TRAINED, "mobilenet_v2."),
)
APPLICATIONS_RESNET = Layout(
    "keras.applications ResNet",
    marks=("conv1_conv/kernel", "conv1_bn/gamma", "conv2_block1_1_conv/kernel"),
    layers={"stem_conv": "conv1_conv", "stem_bn": "conv1_bn", CLASSIFIER: CLASSIFIER},
    block="conv{next_stage}_block{block}_",
    in_block={
        **{"reduce_conv": "1_conv", "reduce_bn": "1_bn"},
        **{"spatial_conv": "2_conv", "spatial_bn": "2_bn"},
        **{"expand_conv": "3_conv", "expand_bn": "3_bn"},
        **{"shortcut_conv": "0_conv", "shortcut_bn": "0_bn"},
    },
    facts=Facts(stride_on="1x1", padding="symmetric", epsilon=1.001e-5),
)
APPLICATIONS_RESNET_V2 = Layout(
    "keras.applications ResNet V2",
    marks=("conv1_conv/kernel", "conv2_block1_preact_bn/gamma", "conv2_block1_1_conv/kernel"),
    layers={"stem_conv": "conv1_conv", "head_bn": "post_bn", CLASSIFIER: CLASSIFIER},
    block=APPLICATIONS_RESNET.block,
    in_block={
        "preact_bn": "preact_bn",
        **{"reduce_conv": "1_conv", "reduce_bn": "1_bn"},
        **{"spatial_conv": "2_conv", "spatial_bn": "2_bn"},
        **{"expand_conv": "3_conv", "shortcut_conv": "0_conv"},
    },
    facts=Facts(stride_on="3x3", padding="symmetric", epsilon=1.001e-5, stride_at="last"),
)
APPLICATIONS_MOBILENET_V2 = Layout(
    "keras.applications MobileNetV2",
    marks=("Conv1/kernel", "bn_Conv1/gamma", "expanded_conv_project/kernel"),
    layers={
        **{"stem_conv": "Conv1", "stem_bn": "bn_Conv1"},
        "stage1_block1_depthwise_conv": "expanded_conv_depthwise",
        "stage1_block1_depthwise_bn": "expanded_conv_depthwise_BN",
        "stage1_block1_project_conv": "expanded_conv_project",
        "stage1_block1_project_bn": "expanded_conv_project_BN",
        **{"head_conv": "Conv_1", "head_bn": "Conv_1_bn"},
        CLASSIFIER: CLASSIFIER,
    },
    block="block_{index0}_",
    in_block={
        **{"expand_conv": "expand", "expand_bn": "expand_BN"},
        **{"depthwise_conv": "depthwise", "depthwise_bn": "depthwise_BN"},
        **{"project_conv": "project", "project_bn": "project_BN"},
    },
    facts=Facts(padding="same", epsilon=1e-3),
)

# In the order in which a file is compared with them: the more special first.
LAYOUTS = (
    OWN,
    CIFAR_RESNET,
    TORCHVISION_RESNET,
    TORCHVISION_MOBILENET_V2,
    TIMM_MOBILENET_V2,
    TRANSFORMERS_RESNET,
    TRANSFORMERS_MOBILENET_V2,
    APPLICATIONS_RESNET,
    APPLICATIONS_RESNET_V2,
    APPLICATIONS_MOBILENET_V2,
)
