"""The two real networks that the tests know: ImageNet's SqueezeNet and CIFAR-10's ResNet-20."""

from pathlib import Path

import pytest
import torch.nn.functional as F
from torch import nn

import explainers as ex
from explainers.images import Framing

DATA = Path(__file__).parents[1].parent / "shared" / "data"
PHOTOS = DATA / "photos"
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def squeezenet():
    """SqueezeNet 1.0, trained on ImageNet: 1 × 1 convolution, ReLU, pooling; so its class maps are there already."""
    weights = _weights("squeezenet1_0.imagenet.safetensors")
    from torchvision.models import squeezenet1_0
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    network = squeezenet1_0()
    network.load_state_dict(weights, strict=True)
    return ex.wrap(
        network.eval(), labels=_IMAGENET_CATEGORIES, framing=Framing(size=(227, 227), resize=256), name="squeezenet1_0"
    )


def resnet20():
    """ResNet-20, trained on CIFAR-10; pooling and one linear layer, so CAM applies exactly."""
    weights = _weights("resnet20.cifar10.safetensors")
    network = ResNet20()
    network.load_state_dict(weights, strict=True)
    return ex.wrap(network.eval(), labels=CIFAR_CLASSES, framing=Framing(size=(32, 32), mode="squash"), name="resnet20")


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


def photo(name):
    """The path of the photograph whose name ends so."""
    if not PHOTOS.is_dir():
        pytest.skip("needs the photographs beside the project (../shared/data/photos)")
    return next(PHOTOS.glob(f"*_{name}.JPEG"))


def cifar(label, number=0):
    """The path of a CIFAR-10 test picture."""
    path = DATA / "cifar10" / label / f"{number:04d}.jpg"
    if not path.is_file():
        pytest.skip("needs the CIFAR-10 pictures beside the project (../shared/data/cifar10)")
    return path


def _weights(name):
    path = DATA / "models" / name
    if not path.is_file():
        pytest.skip(f"needs the real weights beside the project (../shared/data/models/{name})")
    from safetensors.torch import load_file

    return load_file(path)
