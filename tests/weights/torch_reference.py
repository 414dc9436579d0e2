"""ResNet and MobileNetV2 in PyTorch, from the papers, under torchvision's and timm's names."""

from collections import OrderedDict

import torch
from torch import nn

# Sandler et al. 2018, table 2: expansion, channels, blocks, stride.
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def convolution(inputs, outputs, size, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)


class Block(nn.Module):
    """He et al. 2015, figure 5: two 3x3, or 1x1, 3x3 and 1x1 with the stride on the 3x3."""

    def __init__(self, inputs, filters, stride, kind, groups, base_width, strided="conv2"):
        super().__init__()
        width = filters * base_width // 64 * groups
        plans = {
            "basic": ((filters, 3), (filters, 3)),
            "bottleneck": ((width, 1), (width, 3), (4 * filters, 1)),
        }
        strided = "conv1" if kind == "basic" else strided
        self.count = len(plans[kind])
        self.outputs = plans[kind][-1][0]
        channels = inputs
        for number, (outputs, size) in enumerate(plans[kind], start=1):
            name = f"conv{number}"
            grouped = groups if kind == "bottleneck" and size == 3 else 1
            made = convolution(channels, outputs, size, stride if name == strided else 1, grouped)
            self.add_module(name, made)
            self.add_module(f"bn{number}", nn.BatchNorm2d(outputs))
            channels = outputs
        self.downsample = None
        if stride > 1 or inputs != self.outputs:
            shortcut = convolution(inputs, self.outputs, 1, stride)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(self.outputs))

    def forward(self, x):
        y = x
        for number in range(1, self.count + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            y = y if number == self.count else y.relu()
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    """He et al. 2015, table 1, with torchvision's names."""

    def __init__(
        self,
        kind,
        depths,
        filters=(64, 128, 256, 512),
        classes=1000,
        groups=1,
        base_width=64,
        channels=3,
        strided="conv2",
    ):
        super().__init__()
        self.conv1 = convolution(channels, filters[0], 7, 2)
        self.bn1 = nn.BatchNorm2d(filters[0])
        self.pool = nn.MaxPool2d(3, 2, 1)
        width = filters[0]
        for stage, (depth, outputs) in enumerate(zip(depths, filters, strict=True), start=1):
            blocks = []
            for index in range(depth):
                stride = 2 if stage > 1 and index == 0 else 1
                blocks.append(Block(width, outputs, stride, kind, groups, base_width, strided))
                width = blocks[-1].outputs
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.stages = len(depths)
        self.fc = nn.Linear(width, classes)

    def forward(self, x):
        x = self.pool(self.bn1(self.conv1(x)).relu())
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


def rounded(channels):
    """To a multiple of 8, never more than 10% below."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near if near >= 0.9 * channels else near + 8


def rows(alpha):
    """(stage, index, inputs, outputs, hidden, stride) of each inverted residual."""
    inputs = rounded(32 * alpha)
    for stage, (expansion, channels, blocks, stride) in enumerate(MOBILENET_V2):
        outputs = rounded(channels * alpha)
        for index in range(blocks):
            yield stage, index, inputs, outputs, expansion * inputs, stride if index == 0 else 1
            inputs = outputs


def norm_act(inputs, outputs, size, stride=1, groups=1):
    made = convolution(inputs, outputs, size, stride, groups)
    return nn.Sequential(made, nn.BatchNorm2d(outputs), nn.ReLU6())


class Inverted(nn.Module):
    """Sandler et al. 2018, figure 4(d), with torchvision's names."""

    def __init__(self, inputs, outputs, hidden, stride):
        super().__init__()
        expand = [norm_act(inputs, hidden, 1)] if hidden != inputs else []
        depthwise = norm_act(hidden, hidden, 3, stride, hidden)
        project = (convolution(hidden, outputs, 1), nn.BatchNorm2d(outputs))
        self.conv = nn.Sequential(*expand, depthwise, *project)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    """Sandler et al. 2018, table 2, with torchvision's names."""

    def __init__(self, alpha=1.0, classes=1000, channels=3):
        super().__init__()
        blocks = [Inverted(*sizes) for _, _, *sizes in rows(alpha)]
        inputs, outputs = rounded(320 * alpha), rounded(1280 * max(alpha, 1.0))
        self.features = nn.Sequential(
            norm_act(channels, rounded(32 * alpha), 3, 2), *blocks, norm_act(inputs, outputs, 1)
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(outputs, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class TimmInverted(nn.Module):
    """`Inverted` with timm's names, in which a block without expansion counts otherwise."""

    def __init__(self, inputs, outputs, hidden, stride):
        super().__init__()
        depthwise = convolution(hidden, hidden, 3, stride, hidden)
        if hidden == inputs:
            layers = {"conv_dw": depthwise, "conv_pw": convolution(hidden, outputs, 1)}
        else:
            layers = {
                "conv_pw": convolution(inputs, hidden, 1),
                "conv_dw": depthwise,
                "conv_pwl": convolution(hidden, outputs, 1),
            }
        self.order = []
        for number, (name, layer) in enumerate(layers.items(), start=1):
            self.add_module(name, layer)
            self.add_module(f"bn{number}", nn.BatchNorm2d(layer.out_channels))
            self.order.append((name, f"bn{number}"))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        y = x
        for conv, norm in self.order:
            y = getattr(self, norm)(getattr(self, conv)(y))
            y = y if (conv, norm) == self.order[-1] else nn.functional.relu6(y)
        return x + y if self.adds else y


class TimmMobileNetV2(nn.Module):
    """Sandler et al. 2018, table 2, with timm's names."""

    def __init__(self, alpha=1.0, classes=1000, channels=3):
        super().__init__()
        self.conv_stem = convolution(channels, rounded(32 * alpha), 3, 2)
        self.bn1 = nn.BatchNorm2d(rounded(32 * alpha))
        stages = OrderedDict()
        for stage, index, *sizes in rows(alpha):
            stages.setdefault(str(stage), OrderedDict())[str(index)] = TimmInverted(*sizes)
        self.blocks = nn.Sequential(
            OrderedDict((name, nn.Sequential(blocks)) for name, blocks in stages.items())
        )
        outputs = rounded(1280 * max(alpha, 1.0))
        self.conv_head = convolution(rounded(320 * alpha), outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.classifier = nn.Linear(outputs, classes)

    def forward(self, x):
        x = self.blocks(nn.functional.relu6(self.bn1(self.conv_stem(x))))
        x = nn.functional.relu6(self.bn2(self.conv_head(x)))
        return self.classifier(x.mean((2, 3)))


@torch.no_grad()
def trained(module, last=None, channels=3, seed=0):
    """Gives `module` what training leaves: scales and shifts, the statistics of a batch under
    them, and blocks that add little to what goes round them.

    With scales near 1 everywhere the rounding of float32 alone moves the logits of ResNet-152 by
    1e-3, in PyTorch's own arithmetic as in ours.

    Args:
        last: What the name of the last batch norm of a block ends in.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=generator))

    for name, layer in module.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            fan_in = layer.weight[0].numel()
            drawn = torch.randn(layer.weight.shape, generator=generator)
            layer.weight.copy_(drawn * (2 / fan_in) ** 0.5)
        if isinstance(layer, nn.BatchNorm2d):
            uniform(layer.weight, 0.5, 1.5)
            uniform(layer.bias, -0.3, 0.3)
            if last is not None and name.endswith(last):
                layer.weight.mul_(0.2)
            layer.momentum = 1.0  # keep the last batch's statistics
    module.train()
    module(torch.randn((16, channels, 96, 96), generator=generator))
    return module.eval()


@torch.no_grad()
def outputs(module, images):
    """What `module` says on images (batch, height, width, channels), as an array."""
    found = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return getattr(found, "logits", found).numpy()
