"""Filters: the kernels of a convolution as pictures (Zeiler & Fergus, ECCV 2014, among many)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..errors import DoesNotApply
from ..imagining.showing import colors, site_of
from ..network.classifier import Classifier
from ..registry import Family, explainer
from ..results import Tile, Tiles

MOST = 256
"""Kernels on one sheet."""

SLICES = 16
"""Of a deeper kernel, the input channels with the largest weights."""

Where = Annotated[
    Literal["first", "early", "middle", "late", "last"],
    Field(description="Which convolution: the first one, or the last one up to a depth."),
]


@explainer(
    title="Filters",
    family=Family.INSIDE,
    paper="https://arxiv.org/abs/1311.2901",
    class_specific=False,
    passes=(0, 0),
    fills="inside.filters",
)
def filters(
    model: Classifier,
    *,
    where: Where = "first",
    order: Annotated[
        Literal["strength", "likeness", "number"],
        Field(description="What stands first: the strongest, each next to what is most like it, or as numbered."),
    ] = "strength",
    frequencies: Annotated[
        bool, Field(description="Show which frequencies each kernel lets through, the mean in the center.")
    ] = False,
) -> Tiles:
    """What patterns does a convolution compare the picture with?

    Each tile is a kernel of weights. In the first layer it has the colors of the picture: gray is no weight, and a
    pattern of light and color like the tile excites it most. Deeper, a kernel reads channels instead of colors, and
    the tiles are its strongest slices, warm where they excite and cold where they inhibit.
    Read it as: the pattern that this channel answers to; its strength is the length of the kernel.
    Beware: only the first layer reads the picture itself. What deeper kernels mean depends on what their channels mean.
    """
    path, layer = _convolution(model, where)
    kernels = layer.weight.detach().float().cpu()  # (K, channels per group, h, w)
    strength = kernels.flatten(1).norm(dim=1)
    chosen = _order(kernels, strength, order)[:MOST]
    pictures = _responses(kernels) if frequencies else kernels
    as_colors = kernels.shape[1] == len("rgb") == model.framing.channel_count and where == "first" and not frequencies
    most = float(kernels.abs().max().clamp(min=1e-12))
    if as_colors and model.framing.channels == "bgr":
        pictures = pictures.flip(1)
    tiles = [
        Tile(colors(0.5 + pictures[k] / (2 * pictures[k].abs().max().clamp(min=1e-12))), f"{k}", float(strength[k]),
             facts={"channel": k})
        if as_colors
        else Tile(_mosaic(pictures[k]).numpy() / (1 if frequencies else most), f"{k}", float(strength[k]),
                  signed=not frequencies, facts={"channel": k})
        for k in chosen
    ]  # fmt: skip
    size = " × ".join(map(str, kernels.shape[2:]))
    note = f"{path}: {len(kernels)} kernels of {kernels.shape[1]} × {size}"
    note += f", of which {MOST} are shown." if len(kernels) > MOST else "."
    if where != "first":
        note += " By themselves they say little: they weigh channels, and those have to be understood first."
    return Tiles(tuple(tiles), unit="length of the kernel", note=note)


def _convolution(model: Classifier, where: str) -> tuple[str, nn.Conv2d]:
    """The first convolution, or the last one that comes no later than a depth, by order of construction."""
    found = [(path, m) for path, m in model.module.named_modules() if isinstance(m, nn.Conv2d)]
    if not found:
        raise DoesNotApply(f"{model.name} has no convolution, so there are no kernels to show.")
    if where == "first":
        return found[0]
    end = site_of(model, where).point.path
    paths = [path for path, _ in model.module.named_modules()]
    last = max(i for i, path in enumerate(paths) if path == end or path.startswith(f"{end}."))
    before = [(path, m) for path, m in found if paths.index(path) <= last]
    wide = [(path, m) for path, m in before if m.kernel_size != (1, 1)]
    return (wide or before or found)[-1]


def _order(kernels: Tensor, strength: Tensor, order: str) -> list[int]:
    if order == "number":
        return list(range(len(kernels)))
    ranked: list[int] = strength.argsort(stable=True, descending=True, dim=0).tolist()
    if order == "strength":
        return ranked
    unit = torch.nn.functional.normalize(kernels.flatten(1), dim=1)
    likeness = (unit @ unit.T).abs()
    chain, left = [ranked[0]], set(ranked[1:])
    while left:
        chain.append(max(sorted(left), key=lambda k: float(likeness[chain[-1], k])))
        left.remove(chain[-1])
    return chain


def _responses(kernels: Tensor) -> Tensor:
    """(K, 1, 32, 32): how strongly each frequency gets through, the mean over input channels."""
    spectra: Tensor = torch.fft.fft2(kernels, s=(32, 32)).abs().mean(1, keepdim=True)
    return spectra.roll((16, 16), (2, 3))


def _mosaic(kernel: Tensor) -> Tensor:
    """The strongest slices of a kernel (channels, h, w) as one map, four in a row, with a gap between."""
    best = kernel.flatten(1).norm(dim=1).argsort(stable=True, descending=True, dim=0)[:SLICES]
    slices = kernel[best]
    if len(slices) == 1:
        return slices[0]
    rows = -(-len(slices) // 4)
    _, h, w = slices.shape
    padded = torch.zeros(rows * 4, h + 1, w + 1)
    padded[: len(slices), :h, :w] = slices
    return padded.view(rows, 4, h + 1, w + 1).permute(0, 2, 1, 3).reshape(rows * (h + 1), 4 * (w + 1))[:-1, :-1]
