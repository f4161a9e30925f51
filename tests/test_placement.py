"""Heat lies where the reason is: on the original picture, in the right quadrant, whatever the architecture."""

import itertools
from io import BytesIO

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from timm.models.mambaout import MambaOut
from torch import nn

import explainers as ex
from explainers.pictures import Framing

# A spot of a known color, on the original picture --------------------------------------------------------------------


class RedFinder(nn.Module):
    """Class 0 counts red (red beyond green and blue), in cells of 4 × 4 pixels."""

    def __init__(self):
        super().__init__()
        self.red = nn.Conv2d(3, 1, 1, bias=False)
        self.red.weight.data = torch.tensor([1.0, -1, -1])[None, :, None, None]
        self.relu = nn.ReLU(inplace=True)
        self.cells = nn.AvgPool2d(4)
        self.head = nn.Linear(1, 2, bias=False)
        self.head.weight.data = torch.tensor([[1.0], [-1.0]])

    def forward(self, x):
        return self.head(self.cells(self.relu(self.red(x))).mean((2, 3)))


def red_finder(height=64, width=64, **framing):
    plain = Framing(size=(height, width), mean=(0, 0, 0), std=(1, 1, 1), **framing)
    return ex.wrap(RedFinder().eval(), labels=["red", "other"], framing=plain)


def spotted(height, width, y, x, side):
    """A gray picture (H, W, 3) with a red square whose middle is at (x, y)."""
    picture = np.full((height, width, 3), 90, np.uint8)
    half = side // 2
    picture[max(0, y - half) : y + half, max(0, x - half) : x + half] = (255, 0, 0)
    return picture


def middle(heat):
    """The center of mass of heat, as (y, x)."""
    rows, columns = np.indices(heat.shape) + 0.5
    return float((rows * heat).sum() / heat.sum()), float((columns * heat).sum() / heat.sum())


METHODS = ("cam", "grad_cam", "gradient")
CORNERS = list(itertools.product((0.3, 0.7), (0.3, 0.7)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("v", "h"), CORNERS)
@pytest.mark.parametrize(("height", "width"), [(128, 128), (90, 60), (60, 90), (100, 400), (400, 100)])
@pytest.mark.parametrize("mode", ["crop", "squash"])
def test_heat_lies_on_the_spot(method, v, h, height, width, mode):
    model = red_finder(mode=mode, crop_share=1.0)
    x0, y0, x1, y1 = model.framing.box((height, width))
    y, x = round(y0 + v * (y1 - y0)), round(x0 + h * (x1 - x0))
    e = ex.explain(ex.look(model, spotted(height, width, y, x, 12)), method, target="red")
    assert e.heat.shape == (height, width)
    assert e.heat.dtype == np.float32
    cell = np.array([y1 - y0, x1 - x0]) / 16
    assert np.all(np.abs(np.array(middle(e.heat)) - (y, x)) <= np.maximum(1, cell / 2))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heat_lies_on_the_upright_picture_of_a_turned_file(orientation):
    # How the camera's sensor lay, by EXIF: what has to be undone to bring the file upright.
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = Image.fromarray(spotted(60, 90, 20, 65, 14))
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = BytesIO()
    stored.save(data, "JPEG", quality=95, subsampling=0, exif=exif)

    model = red_finder(mode="squash")
    for method in METHODS:
        e = ex.explain(ex.look(model, data.getvalue()), method, target="red")
        assert e.heat.shape == (60, 90)
        y, x = middle(e.heat)
        assert abs(y - 20) <= 2
        assert abs(x - 65) <= 3
        assert e.picture().size == (90, 60)


@pytest.mark.parametrize(("height", "width"), [(64, 160), (160, 64)])
@pytest.mark.parametrize("method", METHODS)
def test_heat_is_zero_where_the_crop_did_not_look(height, width, method):
    model = red_finder()  # 64 of 73 pixels, of the middle
    picture = np.full((height, width, 3), (200, 10, 10), np.uint8)
    e = ex.explain(ex.look(model, picture), method, target="red")
    x0, y0, x1, y1 = model.framing.box((height, width))
    assert min(x0, y0) > 0
    inside = np.zeros((height, width), bool)
    inside[round(y0) : round(y1), round(x0) : round(x1)] = True
    assert not e.heat[~inside].any()
    assert e.heat[inside].min() > 0
    painted = np.asarray(e.picture())
    assert (painted[~inside] == picture[~inside]).all()
    assert (painted[inside] != picture[inside]).any(-1).all()
    assert e.payload()["seen"] == [x0, y0, x1, y1]


def test_a_spot_outside_the_crop_has_no_heat_at_all():
    e = ex.explain(ex.look(red_finder(), spotted(64, 160, 32, 8, 12)), "grad_cam", target="red")
    assert e.blank
    assert e.notes


# One quadrant is read, and the heat lies there -----------------------------------------------------------------------

QUADRANTS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def window(shape, quadrant):
    """True in one quarter of a grid of that shape: (0, 1) is the upper right one."""
    inside = np.zeros(shape, bool)
    half_h, half_w = shape[0] // 2, shape[1] // 2
    top, left = quadrant[0] * half_h, quadrant[1] * half_w
    inside[top : top + half_h, left : left + half_w] = True
    return inside


class Spotlight(nn.Module):
    """Maps pass in one quadrant only; `form` says how they are laid out, prefix tokens always pass."""

    def __init__(self, form, quadrant, grid=None, prefix=0):
        super().__init__()
        self.form, self.quadrant, self.grid, self.prefix = form, quadrant, grid, prefix

    def forward(self, x):
        grid = {"NCHW": x.shape[2:], "NHWC": x.shape[1:3]}.get(self.form, self.grid)
        inside = torch.from_numpy(window(tuple(grid), self.quadrant)).to(x)
        match self.form:
            case "NCHW":
                return x * inside
            case "NHWC":
                return x * inside[..., None]
        return x * F.pad(inside.flatten(), (self.prefix, 0), value=1.0)[:, None]


class Patches(nn.Module):
    """Pictures become patches of 8 × 8 pixels with 16 channels: tokens over a grid."""

    def __init__(self, prefix=0):
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 8, stride=8)
        self.first = nn.Parameter(torch.zeros(1, prefix, 16))

    def forward(self, x):
        return torch.cat([self.first, self.embed(x).flatten(2).mT], 1)


class Unfolded(nn.Module):
    """The same without a convolution, so that no grid is ever seen."""

    def __init__(self, prefix=0):
        super().__init__()
        self.embed = nn.Linear(192, 16)
        self.first = nn.Parameter(torch.zeros(1, prefix, 16))

    def forward(self, x):
        return torch.cat([self.first, self.embed(F.unfold(x, 8, stride=8).mT)], 1)


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.down(F.gelu(self.up(self.norm(x))))


class ClassReads(nn.Module):
    """A block in which the prefix tokens attend to all, and the patches to nothing but themselves."""

    def __init__(self, prefix, width=16):
        super().__init__()
        self.prefix, self.norm, self.mlp = prefix, nn.LayerNorm(width), Mlp(width)
        self.value = nn.Linear(width, width)

    def forward(self, x):
        seen = self.value(self.norm(x))
        first = F.scaled_dot_product_attention(seen[:, : self.prefix], seen, seen)
        return self.mlp(x + F.pad(first, (0, 0, 0, x.shape[1] - self.prefix)))


class Windowed(nn.Module):
    """Attention inside windows of 2 × 2 cells, NHWC, with the windows as the batch."""

    def __init__(self, width=16):
        super().__init__()
        self.norm, self.attend, self.mlp = nn.LayerNorm(width), nn.Linear(width, width), Mlp(width)

    def forward(self, x):
        b, h, w, c = x.shape
        cells = self.norm(x).view(b, h // 2, 2, w // 2, 2, c).transpose(2, 3).reshape(-1, 4, c)
        cells = self.attend(F.scaled_dot_product_attention(cells, cells, cells))
        return self.mlp(x + cells.view(b, h // 2, w // 2, 2, 2, c).transpose(2, 3).reshape(b, h, w, c))


class Reads(nn.Module):
    """Takes what the scores are read from: the average of maps or patches, or the class token."""

    def __init__(self, what, prefix=0, width=16):
        super().__init__()
        self.what, self.prefix = what, prefix
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 4)

    def forward(self, x):
        match self.what:
            case "NCHW":
                return self.head(x.mean((2, 3)))
            case "NHWC":
                return self.head(x.mean((1, 2)))
            case "class":
                return self.head(self.norm(x)[:, 0])
            case _:
                return self.head(x[:, self.prefix :].mean(1))


def nchw(quadrant, grid):
    embed = nn.Conv2d(3, 16, 8, stride=8)
    return nn.Sequential(embed, nn.ReLU(inplace=True), Spotlight("NCHW", quadrant), Reads("NCHW"))


def nhwc(quadrant, grid):
    embed = nn.Sequential(nn.Conv2d(3, 16, 8, stride=8), Permute(0, 2, 3, 1))
    return nn.Sequential(embed, Mlp(16), Spotlight("NHWC", quadrant), Reads("NHWC"))


def as_many_channels_as_rows(quadrant, grid):
    embed = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), Permute(0, 2, 3, 1))
    return nn.Sequential(
        embed, Mlp(4), nn.Sequential(nn.LayerNorm(4), Spotlight("NHWC", quadrant)), Reads("NHWC", 0, 4)
    )


def windowed(quadrant, grid):
    embed = nn.Sequential(nn.Conv2d(3, 16, 8, stride=8), Permute(0, 2, 3, 1))
    return nn.Sequential(embed, Windowed(), Windowed(), Spotlight("NHWC", quadrant), Reads("NHWC"))


def class_token(quadrant, grid):
    spot = Spotlight("tokens", quadrant, grid, 1)
    return nn.Sequential(Patches(1), Mlp(16), spot, ClassReads(1), Reads("class"))


def registers(quadrant, grid):
    spot = Spotlight("tokens", quadrant, grid, 5)
    return nn.Sequential(Patches(5), Mlp(16), spot, ClassReads(5), Reads("class"))


def mean_of_tokens(quadrant, grid):
    return nn.Sequential(Patches(), Mlp(16), Spotlight("tokens", quadrant, grid), Reads("tokens"))


def mean_beside_registers(quadrant, grid):
    spot = Spotlight("tokens", quadrant, grid, 4)
    return nn.Sequential(Patches(4), Mlp(16), spot, Reads("tokens", 4))


def unfolded(quadrant, grid):
    spot = Spotlight("tokens", quadrant, grid, 1)
    return nn.Sequential(Unfolded(1), Mlp(16), spot, ClassReads(1), Reads("class"))


def unfolded_beside_registers(quadrant, grid):
    spot = Spotlight("tokens", quadrant, grid, 4)
    return nn.Sequential(Unfolded(4), Mlp(16), spot, ClassReads(4), Reads("class"))


class Permute(nn.Module):
    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(*self.axes)


KINDS = [
    nchw,
    nhwc,
    as_many_channels_as_rows,
    windowed,
    class_token,
    registers,
    mean_of_tokens,
    mean_beside_registers,
    unfolded,
    unfolded_beside_registers,
]


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def asked(network, height, width):
    plain = Framing(size=(height, width), mode="squash", mean=(0.5,) * 3, std=(0.5,) * 3)
    return ex.look(ex.wrap(network.eval(), framing=plain), noise(height, width))


def assert_in_quadrant(e, quadrant, *, share=1.0):
    """That (a share of) the heat lies in the quadrant, at its own resolution and on the picture."""
    mass = np.abs(e.native)
    assert mass.sum() > 0
    assert mass[window(mass.shape, quadrant)].sum() >= share * (1 - 1e-6) * mass.sum()
    laid = np.abs(e.heat)
    at = [(m / n > 0.5) for m, n in zip(middle(laid), laid.shape, strict=True)]
    assert tuple(map(int, at)) == quadrant


@pytest.mark.parametrize("quadrant", QUADRANTS)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 64), (64, 32), (64, 64)])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_heat_lies_in_the_quadrant_that_is_read(kind, height, width, quadrant):
    torch.manual_seed(0)
    trace = asked(kind(quadrant, (height // 8, width // 8)), height, width)
    e = ex.explain(trace, "grad_cam", target=0, signed=True)
    assert e.native.shape == (height // 8, width // 8)
    assert_in_quadrant(e, quadrant)
    assert_in_quadrant(ex.explain(trace, "gradient", target=0), quadrant)
    if not trace.classifier.anatomy.without_head:
        assert_in_quadrant(ex.explain(trace, "cam", target=0, signed=True), quadrant)


# The same with networks of timm --------------------------------------------------------------------------------------


def alone(network, mixing="attn.proj"):
    """The network with layers that pass nothing on from one cell to another."""
    for name, p in network.named_parameters():
        if name.endswith((f"{mixing}.weight", f"{mixing}.bias")):
            nn.init.zeros_(p)
    return network


class ReadsAll(nn.Module):
    """Attention for the class token alone, which takes the average of the patches."""

    def __init__(self, prefix):
        super().__init__()
        self.prefix = prefix

    def forward(self, x, **_):
        first = x[:, self.prefix :].mean(1, keepdim=True)
        return F.pad(first, (0, 0, 0, x.shape[1] - 1))


def timm_vit(quadrant, pool="token", registers=0, size=(64, 64)):
    network = alone(
        timm.models.VisionTransformer(
            img_size=size, patch_size=8, embed_dim=24, depth=3, num_heads=2, num_classes=4, reg_tokens=registers,
            global_pool=pool, class_token=pool == "token",
        )
    )  # fmt: skip
    prefix = network.num_prefix_tokens
    spot = Spotlight("tokens", quadrant, (size[0] // 8, size[1] // 8), prefix)
    if pool == "token":
        network.blocks[-1].attn = ReadsAll(prefix)
        network.blocks[-2] = nn.Sequential(network.blocks[-2], spot)
    else:
        network.blocks[-1] = nn.Sequential(network.blocks[-1], spot)
        # Behind the masked tokens a LayerNorm would be steep; the spot is what the average is taken of.
        network.norm = network.fc_norm = nn.Identity()
    return network


def timm_swin(quadrant, size=(64, 64)):
    network = alone(
        timm.models.SwinTransformer(
            img_size=size, patch_size=4, embed_dim=16, depths=(2, 2), num_heads=(2, 2), window_size=4, num_classes=4
        )
    )
    network.norm = nn.Sequential(network.norm, Spotlight("NHWC", quadrant))
    return network


def timm_convnext(quadrant, size=(64, 64)):
    network = timm.models.ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 8, 12, 16), num_classes=4, patch_size=2)
    network.stages = nn.Sequential(*network.stages, Spotlight("NCHW", quadrant))
    return network


def timm_resnet(quadrant, size=(64, 64)):
    block = timm.models.resnet.BasicBlock
    network = timm.models.ResNet(block, (1, 1, 1, 1), num_classes=4, channels=(8, 8, 8, 8), output_stride=8)
    network.layer4 = nn.Sequential(network.layer4, Spotlight("NCHW", quadrant))
    return network


def timm_mambaout(quadrant, size=(64, 64)):
    network = alone(MambaOut(depths=(1, 1, 1, 1), dims=(8, 8, 8, 16), num_classes=4), "fc2")
    network.stages = nn.Sequential(*network.stages, Spotlight("NHWC", quadrant))
    return network


TIMM = {
    "vit": timm_vit,
    "vit with registers": lambda q, size: timm_vit(q, registers=4, size=size),
    "vit with pooling": lambda q, size: timm_vit(q, pool="avg", size=size),
    "swin": timm_swin,
    "convnext": timm_convnext,
    "resnet": timm_resnet,
    "mambaout": timm_mambaout,
}


@pytest.mark.parametrize("quadrant", QUADRANTS)
@pytest.mark.parametrize("size", [(64, 64), (64, 128)], ids=["square", "wide"])
@pytest.mark.parametrize("kind", TIMM)
def test_heat_lies_in_the_quadrant_that_a_network_of_timm_reads(kind, size, quadrant):
    torch.manual_seed(0)
    if kind == "mambaout":  # five strided convolutions reach 31 pixels beyond a cell
        size = (2 * size[0], 2 * size[1])
    trace = asked(TIMM[kind](quadrant, size=size), *size)
    assert_in_quadrant(ex.explain(trace, "grad_cam", target=0, signed=True), quadrant)
    reach = 0.5 if kind in ("convnext", "resnet", "mambaout") else 1.0  # of convolutions, beyond the quadrant's edge
    assert_in_quadrant(ex.explain(trace, "gradient", target=0), quadrant, share=reach)
