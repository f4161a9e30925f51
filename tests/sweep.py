"""The long sweep: every method that applies, on every family of architectures, with no setting. `make sweep`.

    PYTHONPATH=. python tests/sweep.py [--families FILE] [--only PATTERN] [--jobs timm,torchvision] [--attention]

For each network (random weights) it prints where the maps are read, whether Grad-CAM and the gradient give a finite
map of the right shape that is not constant, and in how many of four quadrants the maps' cells depend most on the
pixels that lie under them (a check of axis, order and prefix that does not use the score). Then by how much DeepLIFT's
parts miss the whole, in single and in double precision, the worse of a gray and a blurred reference.

With `--attention` it prints instead what attention is read: layers × heads × grid, by how much the matrices differ from
q·k worked out by hand in double precision, by how much rows miss 1, and whether the logits are the same to the bit.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as fn
from torch.overrides import TorchFunctionMode

import explainers as ex
from explainers.network.rules.opened import opened
from explainers.network.taps import run
from explainers.pictures import Framing
from explainers.trace.attention import attention_over, attention_rows

FAMILIES = Path(__file__).parents[1].parent / "shared" / "data" / "timm_families.json"

LEAST_OF_TIMM = 92
"""Families of timm, of 98, that have to come out right for the sweep to pass."""

ADDS_UP = {"single": 1e-2, "double": 1e-3}
"""DeepLIFT's residual up to which its parts add up to the whole."""

SHALLOW: dict[str, dict[str, object]] = {
    # Fewer layers of the same kind, so that the sweep fits in memory and in an evening.
    "nasnetalarge": {"num_conv_filters": 96, "stem_size": 32, "num_features": 1152} | {"channel_multiplier": 2},
    "deepseek_vit_412m": {"depth": 4},
    "gemma4_vit_167m": {"depth": 4},
    "qwen3_vit_88m": {"depth": 4},
}


LARGEST_IN_DOUBLE = 512
"""Attention over larger pictures does not fit into 24 GB in double precision; such rows do not count as adding up."""


@dataclass(frozen=True)
class Row:
    kind: str
    family: str
    network: str
    where: str
    grad_cam: str
    gradient: str
    placed: str
    cam: str
    seconds: float
    why: str = ""
    single: float = float("nan")
    double: float = float("nan")
    agreement: float | None = None

    @property
    def good(self) -> bool:
        return self.grad_cam == "ok" and self.gradient == "ok"

    @property
    def adds_up(self) -> bool:
        return self.single <= ADDS_UP["single"] and self.double <= ADDS_UP["double"]


def timm_network(name: str) -> ex.Classifier:
    import timm

    torch.manual_seed(0)
    try:
        module = timm.create_model(name, pretrained=False, **SHALLOW.get(name, {}))
    except (TypeError, RuntimeError):
        module = timm.create_model(name, pretrained=False)
    module.eval()
    config = timm.data.resolve_data_config({}, model=module)
    wake(module, config["input_size"][1:])
    return ex.wrap(module, name=name, framing=Framing.from_timm(config))


def wake(module: nn.Module, size: tuple[int, int]) -> None:
    """Draw anew what an untrained network starts with as zeros, heads and gates, so that something depends on it."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim >= 2 and not parameter.any():
                parameter.normal_(std=0.02)
            elif parameter.ndim == 1 and name.endswith("weight") and not parameter.any():
                parameter.fill_(1.0)
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if norms:  # untrained running statistics let the signal die away over many layers
        for norm in norms:
            norm.train()
            norm.momentum = None
        with torch.no_grad():
            module(torch.randn(2, 3, *size))
        module.eval()


def judge(heat: np.ndarray, shape: tuple[int, ...]) -> str:
    if heat.shape != shape:
        return f"shape {heat.shape}"
    if not np.isfinite(heat).all():
        return "not finite"
    return "ok" if float(heat.std()) > 0 else "constant"


def placed(model: ex.Classifier, picture: np.ndarray) -> str:
    """In how many of four quadrants a cell's maps are most sensitive to the pixels of that quadrant."""
    site = model.anatomy.sites["last"]
    trace = ex.look(model, picture)
    leaf = trace.pixels.clone().requires_grad_()
    framed = model.framing.normalize(leaf).to(model.dtype)[None]
    maps = site.maps(run(model.module, framed, taps=site.points).taps)
    signs = torch.randn(maps.shape[0], generator=torch.Generator().manual_seed(0)).to(maps)
    h, w = site.grid
    hits = 0
    for top in (True, False):
        for left in (True, False):
            cell = maps[:, h // 4 if top else h - 1 - h // 4, w // 4 if left else w - 1 - w // 4]
            (slope,) = torch.autograd.grad((cell * signs).sum(), leaf, retain_graph=True)
            hits += quadrant(slope) == (top, left)
    return f"{hits}/4"


def quadrant(slope: Tensor) -> tuple[bool, bool]:
    energy = slope.square().sum(0)
    h, w = energy.shape
    quarters = {
        (True, True): energy[: h // 2, : w // 2],
        (True, False): energy[: h // 2, (w + 1) // 2 :],
        (False, True): energy[(h + 1) // 2 :, : w // 2],
        (False, False): energy[(h + 1) // 2 :, (w + 1) // 2 :],
    }
    return max(quarters, key=lambda key: float(quarters[key].sum()))


def missed(model: ex.Classifier, picture: np.ndarray) -> float:
    """By how much DeepLIFT's parts miss the whole, at worst."""
    trace = ex.look(model, picture)
    return max(ex.explain(trace, "deeplift", reference=r).result.adds_up.residual for r in ("gray", "blur"))


def told(agreement: float | None) -> str:
    return "  – " if agreement is None else f"{agreement:4.2f}"


def examine(kind: str, family: str, name: str, build: Callable[[], ex.Classifier], *, sums: bool = True) -> Row:
    """One row of the sweep; without `sums`, without DeepLIFT's, which take longest."""
    began = time.perf_counter()
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    picture = np.repeat(np.repeat(picture[::8, ::8], 8, 0), 8, 1)
    where = grad_cam = gradient = cam = "–"
    spots, agreement = "–", None
    single = double = float("nan")
    try:
        model = build()
        anatomy = model.anatomy
        if not anatomy.sites:
            return Row(
                kind, family, name, "none", "–", "–", "–", "–", time.perf_counter() - began, anatomy.without_maps,
                agreement=anatomy.agreement,
            )  # fmt: skip
        site, agreement = anatomy.sites["last"], anatomy.agreement
        grid = site.grid
        where = f"{site} {site.layout.form} {grid[0]}×{grid[1]}+{site.layout.extra}"
        trace = ex.look(model, picture)
        grad_cam = judge(ex.explain(trace, "grad_cam", signed=True).native, grid)
        gradient = judge(ex.explain(trace, "gradient").native, model.framing.size)
        cam = "yes" if anatomy.head else "no"
        spots = placed(model, picture)
        why = "" if anatomy.head else anatomy.without_head
        if sums:
            single = missed(model, picture)
        if sums and max(model.framing.size) <= LARGEST_IN_DOUBLE:
            double = missed(replace(model, module=model.module.double()), picture)
    except Exception as error:  # a sweep goes on
        why = f"{type(error).__name__}: {str(error).splitlines()[0][:150] if str(error) else ''}"
    return Row(
        kind, family, name, where, grad_cam, gradient, spots, cam, time.perf_counter() - began, why, single, double,
        agreement,
    )  # fmt: skip


def torchvision_networks() -> Iterator[tuple[str, Callable[[], ex.Classifier]]]:
    import torchvision

    def build(name: str) -> Callable[[], ex.Classifier]:
        def make() -> ex.Classifier:
            torch.manual_seed(0)
            options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
            module = torchvision.models.get_model(name, weights=None, **options).eval()
            size = 299 if name == "inception_v3" else 224
            wake(module, (size, size))
            return ex.wrap(module, name=name, framing=Framing(size=(size, size)))

        return make

    for name in (
        "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "mnasnet0_5",
        "mobilenet_v3_small", "regnet_y_400mf", "shufflenet_v2_x0_5", "squeezenet1_0", "swin_t", "swin_v2_t",
        "vgg11_bn", "vit_b_16",
    ):  # fmt: skip
        yield name, build(name)


def transformers_networks() -> Iterator[tuple[str, Callable[[], ex.Classifier]]]:
    import transformers as hf

    small = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 96}
    vit = small | {"image_size": 64, "patch_size": 8}
    configs: dict[str, tuple[Callable[..., object], int]] = {
        "ViT": (lambda: hf.ViTForImageClassification(hf.ViTConfig(**vit, num_labels=10)), 64),
        "DeiT": (lambda: hf.DeiTForImageClassification(hf.DeiTConfig(**vit, num_labels=10)), 64),
        "BEiT": (lambda: hf.BeitForImageClassification(hf.BeitConfig(**vit, num_labels=10)), 64),
        "DINOv2": (lambda: hf.Dinov2ForImageClassification(hf.Dinov2Config(**vit, num_labels=10)), 64),
        "DINOv2 with registers": (
            lambda: hf.Dinov2WithRegistersForImageClassification(
                hf.Dinov2WithRegistersConfig(**vit, num_register_tokens=4, num_labels=10)
            ),
            64,
        ),
        "SigLIP": (
            lambda: hf.SiglipForImageClassification(hf.SiglipConfig(vision_config=vit, num_labels=10)),
            64,
        ),
        "Swin": (
            lambda: hf.SwinForImageClassification(
                hf.SwinConfig(
                    image_size=64, embed_dim=24, depths=[1, 1, 2], num_heads=[2, 2, 4], window_size=4, num_labels=10
                )
            ),
            64,
        ),
        "Swin v2": (
            lambda: hf.Swinv2ForImageClassification(
                hf.Swinv2Config(
                    image_size=64, embed_dim=24, depths=[1, 1, 2], num_heads=[2, 2, 4], window_size=4, num_labels=10
                )
            ),
            64,
        ),
        "ConvNeXT": (
            lambda: hf.ConvNextForImageClassification(
                hf.ConvNextConfig(hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1], num_labels=10)
            ),
            128,
        ),
        "ConvNeXT v2": (
            lambda: hf.ConvNextV2ForImageClassification(
                hf.ConvNextV2Config(hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1], num_labels=10)
            ),
            128,
        ),
        "ResNet": (
            lambda: hf.ResNetForImageClassification(
                hf.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], num_labels=10)
            ),
            128,
        ),
        "RegNet": (
            lambda: hf.RegNetForImageClassification(
                hf.RegNetConfig(
                    embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], groups_width=8, num_labels=10
                )
            ),
            128,
        ),
        "MobileNetV2": (lambda: hf.MobileNetV2ForImageClassification(hf.MobileNetV2Config(num_labels=10)), 128),
        "MobileViT": (
            lambda: hf.MobileViTForImageClassification(hf.MobileViTConfig(image_size=128, num_labels=10)),
            128,
        ),
        "PoolFormer": (
            lambda: hf.PoolFormerForImageClassification(
                hf.PoolFormerConfig(hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], num_labels=10)
            ),
            128,
        ),
        "SegFormer": (
            lambda: hf.SegformerForImageClassification(
                hf.SegformerConfig(
                    hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 4], num_labels=10
                )
            ),
            128,
        ),
        "PVT v2": (
            lambda: hf.PvtV2ForImageClassification(
                hf.PvtV2Config(
                    hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 4], num_labels=10
                )
            ),
            128,
        ),
    }

    def make(create: Callable[..., object], size: int, name: str) -> Callable[[], ex.Classifier]:
        def build() -> ex.Classifier:
            torch.manual_seed(0)
            module = Logits(create().eval()).eval()
            wake(module, (size, size))
            return ex.wrap(module, name=name, framing=Framing(size=(size, size)))

        return build

    for name, (create, size) in configs.items():
        yield name, make(create, size, name)


class ByHand(TorchFunctionMode):
    """Every softmax of a pass in double precision, from its definition."""

    def __init__(self) -> None:
        super().__init__()
        self.matrices: list[Tensor] = []
        self.single: list[float] = []
        """By how much the network's own precision is off in each."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is fn.multi_head_attention_forward and (body := opened(func)):
            with self:
                return body(*args, **kwargs)
        if func is fn.scaled_dot_product_attention:
            given = dict(zip(("q", "k", "v", "attn_mask"), args, strict=False)) | kwargs
            given |= {short: given[long] for short, long in (("q", "query"), ("k", "key")) if long in given}
            q, k = given["q"].double(), given["k"].double()
            scale = given.get("scale") or q.shape[-1] ** -0.5
            scores = torch.einsum("...id,...jd->...ij", q * scale, k)
            if (mask := given.get("attn_mask")) is not None:
                scores = torch.where(mask, scores, -torch.inf) if mask.dtype == torch.bool else scores + mask.double()
            self.matrices.append(softmax_by_hand(scores, -1))
            if mask is None:
                own = torch.softmax(torch.matmul(given["q"] * scale, given["k"].mT), -1)
                self.single.append(float((own - self.matrices[-1]).abs().max()))
        elif func in (torch.softmax, fn.softmax, Tensor.softmax):
            self.matrices.append(softmax_by_hand(args[0].double(), args[1] if len(args) > 1 else kwargs["dim"]))
        return func(*args, **kwargs)


def softmax_by_hand(scores: Tensor, dim: int) -> Tensor:
    exponentials = (scores - scores.amax(dim, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim, keepdim=True)


def attention_row(kind: str, family: str, name: str, build: Callable[[], ex.Classifier]) -> tuple[bool, str]:
    """Whether the attention of one network is read as it is, and a line about it."""
    try:
        model = build()
    except Exception as error:
        return False, f"{kind:12} {family:24} {name:36} {type(error).__name__}: {str(error)[:90]}"
    layers = model.anatomy.attention
    if not layers:
        return True, f"{kind:12} {family:24} {name:36} {model.anatomy.without_attention}"
    picture = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    trace, plain = ex.look(model, picture), ex.look(model, picture)
    if len(layers) * max(layer.heads * layer.queries.numel() * layer.keys.shape[1] for layer in layers) > 1 << 29:
        return False, f"{kind:12} {family:24} {name:36} too large for this sweep"
    with ByHand() as hand, torch.no_grad():
        model.module(model.framing.normalize(trace.pixels).to(model.dtype)[None])
    off = attention_over(
        trace, lambda seen: float((seen.matrix() - seen.layer.arranged(hand.matrices[seen.layer.call])).abs().max())
    )
    rows = [row for query in ("read", "patches") for row in attention_rows(trace, query=query)]
    short = max(float((row.maps.sum((1, 2)) + row.rest.sum(1) - 1).abs().max()) for row in rows)
    same = torch.equal(trace.logits, plain.logits)
    kinds: dict[str, int] = {}
    for layer in layers:
        grids = "token" if layer.grid is None else "{}×{}".format(*layer.grid)
        grids += "" if layer.grid == layer.key_grid else " on {}×{}".format(*layer.key_grid)
        parts = (f"{layer.heads} × {grids}", f"+{layer.key_prefix}" if layer.key_prefix else "")
        windows = f" in {layer.windows} windows" if layer.windows > 1 else ""
        kinds["".join(parts) + windows] = kinds.get("".join(parts) + windows, 0) + 1
    grids = ", ".join(f"{count} × {what}" for what, count in kinds.items())
    numbers = f"off by {max(off):.0e}, rows by {short:.0e}, logits {'the same' if same else 'DIFFER'}"
    bound = max(1e-6, 3 * max(hand.single, default=0.0))  # scores that are large cost digits, whoever works them out
    return max(off) < bound and short < 1e-5 and same, f"{kind:12} {family:24} {name:36} {numbers}; {grids}"


class Logits(nn.Module):
    """A transformers model as a function from pixels to logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model(pixels).logits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", type=Path, default=FAMILIES)
    parser.add_argument("--only", default="*")
    parser.add_argument("--jobs", default="timm,torchvision,transformers")
    parser.add_argument("--attention", action="store_true")
    choice = parser.parse_args()
    warnings.simplefilter("ignore")
    jobs: list[tuple[str, str, str, Callable[[], ex.Classifier]]] = []
    if "timm" in choice.jobs:
        if choice.families.exists():
            families = json.loads(choice.families.read_text())
            jobs += [("timm", f, n, lambda n=n: timm_network(n)) for f, n in families.items()]
        else:
            print(f"timm families left out: there is no {choice.families.name}")
    if "torchvision" in choice.jobs:
        jobs += [("torchvision", n, n, build) for n, build in torchvision_networks()]
    if "transformers" in choice.jobs:
        jobs += [("transformers", n, n, build) for n, build in transformers_networks()]
    if choice.attention:
        right = []
        for job in (job for job in jobs if fnmatch.fnmatch(job[1], choice.only)):
            good, line = attention_row(*job)
            right.append(good)
            print(line, "" if good else "  ← WRONG", flush=True)
        print(f"attention: {sum(right)} of {len(right)} right")
        return 0 if all(right) else 1
    rows = []
    for kind, family, name, build in jobs:
        if not fnmatch.fnmatch(family, choice.only):
            continue
        row = examine(kind, family, name, build)
        rows.append(row)
        print(
            f"{row.kind:12} {row.family:24} {row.where:58} Grad-CAM {row.grad_cam:10} gradient {row.gradient:10} "
            f"placed {row.placed} agree {told(row.agreement)} CAM {row.cam:3} "
            f"DeepLIFT misses {row.single:.0e} / {row.double:.0e} "
            f"{row.seconds:5.1f} s  {row.why}",
            flush=True,
        )
    for kind in ("timm", "torchvision", "transformers"):
        mine = [row for row in rows if row.kind == kind]
        if mine:
            whole = sum(row.placed == "4/4" for row in mine)
            sums = sum(row.adds_up for row in mine)
            print(f"{kind}: {sum(row.good for row in mine)} of {len(mine)} right; {whole} placed in all quadrants")
            print(f"{kind}: DeepLIFT adds up on {sums} of {len(mine)}")
    if choice.only != "*":
        return 0
    good = {
        kind: [row.good and row.adds_up for row in rows if row.kind == kind]
        for kind in ("timm", "torchvision", "transformers")
    }
    whole = all(all(good[kind]) for kind in ("torchvision", "transformers"))
    return 0 if whole and (not good["timm"] or sum(good["timm"]) >= LEAST_OF_TIMM) else 1


if __name__ == "__main__":
    sys.exit(main())
