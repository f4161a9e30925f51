"""The main directions of the tokens as colors (as in Oquab et al., DINOv2, TMLR 2024)."""

import torch

from ..registry import Depth, Family, Need, explainer
from ..results import Tile, Tiles
from ..trace import Trace


@explainer(
    title="Tokens as colors",
    family=Family.INSIDE,
    needs={Need.MAPS},
    paper="https://arxiv.org/abs/2304.07193",
    class_specific=False,
    passes=(1, 0),
)
def token_colors(trace: Trace, *, depth: Depth = "last") -> Tiles:
    """Which patches are alike to the network?

    Take the three directions along which the vectors of the patches differ most, and show where a patch lies on them
    as red, green and blue; the three stand beside it one by one.
    Read it as: patches of one color are alike at this depth, whatever the class.
    Beware: colors mean nothing by themselves, and two pictures do not share them.
    """
    maps = trace.maps(depth)  # (K, h, w)
    grid, vectors = maps.shape[1:], maps.flatten(1).T.double()
    centered = vectors - vectors.mean(0)
    u, s, _ = torch.linalg.svd(centered, full_matrices=False)
    found = u[:, :3] * s[:3]  # (cells, up to 3)
    found = found * torch.where(found.abs().amax(0) == found.amax(0), 1, -1)  # a sign of its own has no direction
    shares = (s.square() / s.square().sum().clamp_min(1e-12))[:3].tolist()
    low, high = found.amin(0), found.amax(0)
    colors = torch.zeros(len(found), 3, dtype=found.dtype, device=found.device)
    colors[:, : found.shape[1]] = (found - low) / (high - low).clamp_min(1e-12)
    whole = (colors.reshape(*grid, 3) * 255).round().to(torch.uint8).cpu().numpy()
    tiles = [Tile(whole, "all three", sum(shares))]
    for number, share in enumerate(shares):
        tiles.append(Tile(found[:, number].reshape(grid).float().cpu().numpy(), f"direction {number + 1}", share, True))
    return Tiles(tuple(tiles), unit="share of the variance")
