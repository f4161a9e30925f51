"""Networks that several tests know: ImageNet's SqueezeNet, CIFAR-10's ResNet-20, and a small transformer.

Those with weights are opened once and shared, so no test writes on them.
"""

from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import explainers as ex
from explainers.galleries import gallery
from explainers.galleries.stock import from_arrays
from explainers.pictures import Framing

DATA = Path(__file__).parents[1].parent / "shared" / "data"
PHOTOS = DATA / "photos"
WITHOUT_SHARED = "needs the real weights and pictures of ../shared, which a clone does not have"
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@cache
def squeezenet(dtype=torch.float32):
    """SqueezeNet 1.0, trained on ImageNet: 1 × 1 convolution, ReLU, pooling; so its class maps are there already."""
    weights = _weights("squeezenet1_0.imagenet.safetensors")
    from torchvision.models import squeezenet1_0
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    network = squeezenet1_0()
    network.load_state_dict(weights, strict=True)
    return ex.wrap(
        network.eval().to(dtype),
        labels=_IMAGENET_CATEGORIES,
        framing=Framing(size=(227, 227), resize=256),
        name="squeezenet1_0",
    )


@cache
def resnet20(dtype=torch.float32):
    """ResNet-20, trained on CIFAR-10; pooling and one linear layer, so CAM applies exactly."""
    weights = _weights("resnet20.cifar10.safetensors")
    network = ResNet20()
    network.load_state_dict(weights, strict=True)
    framing = Framing(size=(32, 32), mode="squash")
    return ex.wrap(network.eval().to(dtype), labels=CIFAR_CLASSES, framing=framing, name="resnet20")


class ResNet20(nn.Module):
    """As its authors wrote it: ReLU as a function, addition in place, and a shortcut of slicing and padding."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16), Block(16, 16), Block(16, 16))
        self.layer2 = nn.Sequential(Block(16, 32), Block(32, 32), Block(32, 32))
        self.layer3 = nn.Sequential(Block(32, 64), Block(64, 64), Block(64, 64))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        out = F.avg_pool2d(out, out.size()[3])
        return self.linear(out.view(out.size(0), -1))


class Block(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=after // before, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.wider = after - before

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.wider // 2, self.wider // 2)) if self.wider else x
        return F.relu(out)


class Transformer(nn.Module):
    """Patches of 8 × 8, a class token, three blocks of attention and a linear head.

    With two, a patch would be read through a norm alone, which its length does not matter to: AttCAT would be 0.
    """

    def __init__(self, size, classes, width=12):
        super().__init__()
        count = 1 + size[0] // 8 * (size[1] // 8)
        self.patches, self.first = nn.Conv2d(3, width, 8, stride=8), nn.Parameter(torch.randn(1, 1, width))
        self.place = nn.Parameter(torch.randn(1, count, width) / 3)
        self.blocks = nn.Sequential(*(AttentionBlock(width) for _ in range(3)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x):
        first = self.first.expand(len(x), -1, -1)
        return self.read(self.blocks(torch.cat([first, self.patches(x).flatten(2).mT], 1) + self.place))

    def read(self, tokens):
        return self.head(self.norm(tokens)[:, 0])


class AttentionBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2, self.mlp = nn.LayerNorm(width), nn.Sequential(nn.Linear(width, 24), nn.GELU(), nn.Linear(24, width))

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


def small(channels=3, classes=3, seed=0):
    """Two convolutions over pictures of any number of channels, pooled, with random weights."""
    torch.manual_seed(seed)
    layers = [
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)).eval()


def photo(name):
    """The path of the photograph whose name ends so."""
    return next(shared("photos").glob(f"*_{name}.JPEG"))


def cifar(label, number=0):
    """The path of a CIFAR-10 test picture."""
    return shared("cifar10", label, f"{number:04d}.jpg")


def shared(*parts):
    """The path of real data beside the project; a clone has none, and the last lines of the run say so."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(WITHOUT_SHARED)
    return path


def _weights(name):
    from safetensors.torch import load_file

    return load_file(shared("models", name))


@contextmanager
def galleries_of(models):
    """Within it, a gallery of 24 pictures for each of the networks, where methods find it that want one; no other."""
    draw = np.random.default_rng(0)
    pictures = [draw.integers(256, size=(40, 60, 3), dtype=np.uint8) // (1 + i % 2) for i in range(24)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "_offered", {})
        for model in models:
            found = from_arrays(f"for {model.name}", pictures, [("light", "dark")[i % 2] for i in range(24)])
            gallery.offer(gallery.Gallery.of(found, model))
        yield
