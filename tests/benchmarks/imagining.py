"""What gradient ascent costs beside a bare loop, how high it climbs beside lucent's recipe, and on which networks.

`PYTHONPATH=. python tests/benchmarks/imagining.py [speed] [parity] [families] [pond]`; all of them by default.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

import explainers as ex
from explainers.imagining import RECIPES, ClassScore, imagine
from explainers.imagining.measures import predictions, scores_of
from explainers.pictures import Framing
from explainers.trace import Target

FAMILIES = (
    "resnet18", "mobilenetv3_small_050", "efficientnet_lite0", "convnext_atto", "regnetx_002", "densenet121",
    "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "swin_tiny_patch4_window7_224", "mixer_s32_224",
    "mobilevit_xxs", "poolformer_s12",
)  # fmt: skip


def speed() -> None:
    """Steps per second as a share of those of forward and backward alone; both in turn, medians of the ratios."""
    print("## Speed: share of a bare forward and backward loop on the same batch, CPU time")
    for model, count, steps in [(ex.load("pond:cnn"), 4, 128), (ex.load("pond:vit"), 4, 96), *_real()]:
        for how in ("fourier", "maco"):
            shares = []
            for _ in range(3):
                bare = _bare(model, count, max(4, steps // 6))
                began = time.process_time()
                _last(imagine(model, ClassScore(Target(0)), RECIPES[how], count=count, steps=steps))
                shares.append(bare / ((time.process_time() - began) / steps))
            print(
                f"{model.name:16} {how:8} {count} at once, {steps} steps: {statistics.median(shares):.2f}", flush=True
            )
    model = ex.load("pond:cnn")
    began = time.perf_counter()
    _last(imagine(model, ClassScore(Target(0)), RECIPES["fourier"], count=4, steps=256))
    print(
        f"pond:cnn, 256 steps of 4 pictures: {time.perf_counter() - began:.1f} s on {torch.get_num_threads()} threads"
    )
    model = _random("resnet50")
    began = time.perf_counter()
    states = imagine(model, ClassScore(Target(0)), RECIPES["fourier"], steps=128)
    next(states), next(states)
    first = time.perf_counter() - began
    _last(states)
    print(f"resnet50 at 224 px: first step seen after {first:.1f} s, 128 steps {time.perf_counter() - began:.1f} s")


def parity() -> None:
    """The score that is reached in as many steps as lucent's default recipe takes to reach its own, as published.

    Its picture: Fourier coefficients over 1 / frequency and decorrelated colors, behind a sigmoid; its steps: Adam,
    0.05; its transformations: pad by 12, jitter 8, scale 0.9 to 1.1, turn by up to 10 degrees, jitter 4. The picture
    is 128 px there; here it has the size of the network, as ours.
    """
    print("## Parity: centered logit after 128 steps, plain and under 32 other shakings")
    cases = [(ex.load("pond:cnn"), (0, 4, 8)), (ex.load("pond:vit"), (0, 4, 8))]
    for model, classes in [*cases, *((m, (11, 31)) for m, _, _ in _real())]:
        for index in classes:
            objective = ClassScore(Target(index))
            theirs = _lucent(model, objective, 128)
            row = [("lucent's recipe", theirs)]
            ours = {how: _last(imagine(model, objective, RECIPES[how], steps=128)) for how in ("fourier", "maco")}
            row += [(how, state.pictures) for how, state in ours.items()]
            told = [f"{name} {_score(model, index, p):.1f} / {_robust(model, index, p):.1f}" for name, p in row]
            print(f"{model.name:16} class {index}: {', '.join(told)}", flush=True)


def families() -> None:
    """For how many of three seeds the objective rises within 32 steps, on networks of twelve families, untrained.

    By Fourier coefficients, what is climbed is the objective under shakings, here the mean of the same 32 before and
    after; on the picture as it is it may fall: an untrained network answers to noise and to a picture by different
    numbers; and a step of the usual length overshoots where a score turns within a tenth of it, as in resnet18 and
    regnetx_002. A head that is zero from the start has no slope and is drawn at random instead.
    """
    print("## Rises: three seeds, 32 steps; naive, by Fourier coefficients shaken, and those on the picture as it is")
    totals = torch.zeros(3, dtype=torch.int)
    for name in FAMILIES:
        model, objective = _random(name), ClassScore(Target(7))
        first, *_, last = imagine(model, objective, RECIPES["naive"], count=3, steps=32)
        naive = last.scores > first.scores
        first, *_, last = imagine(model, objective, RECIPES["fourier"], count=3, steps=32)
        shaken = _shaken(model, objective, last.pictures) > _shaken(model, objective, first.pictures)
        rises = torch.stack([naive, shaken, last.scores > first.scores]).sum(1)
        totals += rises
        print(f"{name:34} {', '.join(str(count) for count in rises.tolist())} of 3", flush=True)
    print(f"{', '.join(str(count) for count in totals.tolist())} of {3 * len(FAMILIES)}")


def _shaken(model: ex.Classifier, objective: ClassScore, pictures: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    shaking = RECIPES["fourier"].shaking
    scores = [scores_of(model, objective, shaking(pictures, generator)) for _ in range(32)]
    return torch.stack(scores).mean(0)


def pond() -> None:
    """Pictures imagined for one pond network, and what the other, trained apart, calls them.

    Four seeds of four pictures: from one seed to the next, the number of classes differs by one or two.
    """
    print("## Transfer: sixteen pictures for each of nine classes, 128 steps")
    networks = {name: ex.load(f"pond:{name}") for name in ("cnn", "vit")}
    for maker, judge in (("cnn", "vit"), ("vit", "cnn")):
        for how, recipe in RECIPES.items():
            said = []
            for k in range(9):
                objective = ClassScore(Target(k))
                runs = [imagine(networks[maker], objective, recipe, count=4, steps=128, seed=seed) for seed in range(4)]
                made = torch.cat([_last(run).pictures for run in runs])
                said.append([p.index for p in predictions(networks[judge], made)])
            found, truth = torch.tensor(said), torch.arange(9)[:, None]
            right = found == truth
            nucleus, appendage = (found // 3 == truth // 3).float().mean(), (found % 3 == truth % 3).float().mean()
            print(
                f"{maker} → {judge}, {how:8}: {int((right.float().mean(1) >= 0.5).sum())} of 9 classes with half or "
                f"more right, {int(right.sum())} of {right.numel()}; nucleus {nucleus:.2f}, appendage {appendage:.2f}",
                flush=True,
            )


def _bare(model: ex.Classifier, count: int, rounds: int) -> float:
    pixels = torch.rand(count, 3, *model.framing.size)
    began = time.process_time()
    for _ in range(rounds):
        leaf = pixels.clone().requires_grad_()
        logits = model.module(model.framing.normalize(leaf))
        torch.autograd.grad((logits[:, 0] - logits.mean(1)).sum(), leaf)
    return (time.process_time() - began) / rounds


def _lucent(model: ex.Classifier, objective: ClassScore, steps: int) -> Tensor:
    height, width = model.framing.size
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    scale = (height * width) ** 0.5 / torch.hypot(rows, columns).clamp(min=1 / max(height, width))
    colors = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
    colors = colors / colors.norm(dim=0).max()
    knobs = (torch.randn(1, 3, height, width // 2 + 1, 2, generator=generator) * 0.01).requires_grad_()
    adam = torch.optim.Adam([knobs], lr=0.05)

    def picture() -> Tensor:
        waves = torch.fft.irfft2(scale * torch.view_as_complex(knobs), s=(height, width)) / 4
        return torch.einsum("ck,nkhw->nchw", colors, waves).sigmoid()

    for _ in range(steps):
        adam.zero_grad()
        logits = model.module(model.framing.normalize(_moved(picture(), generator)))
        (-objective(logits, None).sum()).backward(inputs=[knobs])
        adam.step()
    return picture().detach()


def _moved(picture: Tensor, generator: torch.Generator) -> Tensor:
    def draw(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    fn = torch.nn.functional
    size = picture.shape[2:]
    padded = fn.pad(picture, [12] * 4, value=0.5)
    top, left = int(draw(0, 9)), int(draw(0, 9))
    padded = padded[..., top : padded.shape[2] - 8 + top, left : padded.shape[3] - 8 + left]
    angle, zoom = torch.tensor(draw(-10, 10)).deg2rad(), 1 / draw(0.9, 1.1)
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    theta = torch.stack([cos, -sin, sin * 0, sin, cos, sin * 0]).view(1, 2, 3)
    grid = fn.affine_grid(theta, list(padded.shape), align_corners=False)
    turned = fn.grid_sample(padded, grid, align_corners=False)
    top, left = int(draw(0, 5)), int(draw(0, 5))
    cut = turned[..., top : turned.shape[2] - 4 + top, left : turned.shape[3] - 4 + left]
    return fn.interpolate(cut, size, mode="bilinear", align_corners=False)


def _score(model: ex.Classifier, index: int, pictures: Tensor) -> float:
    with torch.no_grad():
        return float(Target(index).of(model.module(model.framing.normalize(pictures))).mean())


def _robust(model: ex.Classifier, index: int, pictures: Tensor) -> float:
    generator = torch.Generator().manual_seed(9)
    return statistics.mean(_score(model, index, _moved(pictures, generator)) for _ in range(32))


def _real() -> list[tuple[ex.Classifier, int, int]]:
    import networks

    if not networks.DATA.is_dir():
        return []
    return [(networks.squeezenet(), 2, 64)]


def _random(name: str) -> ex.Classifier:
    import timm

    torch.manual_seed(0)
    module = timm.create_model(name, pretrained=False).eval()
    heads = module.get_classifier()  # two of them where a network was distilled
    for head in heads if isinstance(heads, tuple) else (heads,):
        for parameter in head.parameters():
            if parameter.ndim == 2 and not parameter.any():
                torch.nn.init.normal_(parameter, std=0.02)
    framing = replace(Framing(size=(224, 224)), size=tuple(module.pretrained_cfg["input_size"][1:]))
    return ex.wrap(module, name=name, framing=framing)


def _last(states):
    *_, state = states
    return state


if __name__ == "__main__":
    for each in sys.argv[1:] or ["speed", "parity", "families", "pond"]:
        {"speed": speed, "parity": parity, "families": families, "pond": pond}[each]()
