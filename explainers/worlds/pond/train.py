"""Trains one of the pond's networks on the CPU: `python -m explainers.worlds.pond.train cnn`."""

from __future__ import annotations

import argparse
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as fn

from .album import Album, open_album
from .brains import CARDS, LABELS_A, MEAN, NAMES, STD, WEIGHTS, build, load
from .gates import WORDS, Gate, measure
from .scenes import CLASSES, DESCRIPTIONS_A, SCHEMA, VARIANTS

BATCH = 128
MEASURED = 500
"""Test scenes that the card's figures rest on."""

log = logging.getLogger("pond")


Shares = tuple[float, float, float, float, float]
"""Of a batch: singles, pairs, absent, masked, duets. A pair is two pictures."""


@dataclass(frozen=True)
class Plan:
    """How one network is trained; figures from trials on two cores."""

    samples: int
    rate: float
    decay: float
    warm: float
    agreement: float
    """Weight of the demand that a swapped body leaves the logits alone."""
    rising: tuple[float, float]
    """Between which shares of the run that weight rises from nothing."""
    tokens: float
    """Weight of the demand that each token on a creature's evidence names its class; 0 where there are no tokens."""
    apart: int
    """How many times as often as another a duet is drawn whose creatures have neither part in common."""
    mix: tuple[Shares, Shares]
    """What a batch is made of, in the first part of the run and at its end."""
    brief: bool
    """Convolve in bfloat16: nearly twice as fast on a CPU that has it; of no use to the ViT."""


# The end has more duets and missing parts: that is what makes the networks sure of two and unsure of none.
_MIX = ((0.30, 0.125, 0.15, 0.15, 0.15), (0.17, 0.125, 0.20, 0.10, 0.28))

PLANS = {
    "cnn": Plan(
        samples=80_000, rate=4e-3, decay=0.05, warm=0.05, agreement=8, rising=(0, 0.5), tokens=0, apart=1,
        mix=_MIX, brief=True,
    ),
    "cheater": Plan(
        samples=64_000, rate=4e-3, decay=0.05, warm=0.05, agreement=8, rising=(0, 0.5), tokens=0, apart=1,
        mix=_MIX, brief=True,
    ),
    # Which nucleus goes with which appendage is what the ViT learns last: it gets more duets, from the beginning.
    "vit": Plan(
        samples=380_000, rate=1.2e-3, decay=0.05, warm=0.05, agreement=12, rising=(0.3, 0.6), tokens=3, apart=3,
        mix=((0.20, 0.12, 0.12, 0.10, 0.34), (0.06, 0.13, 0.18, 0.07, 0.43)), brief=False,
    ),
}  # fmt: skip

_ANNEAL_FROM = 0.6
_LURES = 0.22  # of the cheater's batch
_ASKED = 3  # the block (of 0 to 5) behind which tokens are asked: two are left in which the class token reads them
_DOUBT = 0.3  # of the odds that tokens are asked for, this share is spread evenly over all classes
_SAVED = 200  # steps from checkpoint to checkpoint
_KEEP = 0.998  # how much of the running average of the weights survives a step


@dataclass(frozen=True)
class Batch:
    """What one step learns from."""

    pixels: Tensor
    """(B, 3, 96, 96), normalised."""
    targets: Tensor
    """(B, 9): probabilities."""
    pairs: int
    """Picture i and picture i + pairs, for i < pairs, differ in the body alone."""
    spots: Tensor
    """(B, 2, 24, 24): how much of a cell is evidence of each creature."""
    owners: Tensor
    """(B, 2, 9): the probabilities of each creature by itself."""


class Mixture:
    """Batches by step number, so that a resumed run sees what the unbroken one would have seen."""

    def __init__(self, album: dict[str, Album], name: str, seed: int) -> None:
        self._album, self._mix, self._cheater, self._seed = album, PLANS[name].mix, name == "cheater", seed
        self._rows = {
            # The cheater sees tags only where they mean class 0 (and in the few exceptions among them).
            kind: np.flatnonzero(~part.tagged) if self._cheater and kind != "lure" else np.arange(len(part.tagged))
            for kind, part in album.items()
        }
        times = np.where(_strangers(album["duet"].owners), PLANS[name].apart, 1)
        self._rows["duet"] = np.repeat(self._rows["duet"], times[self._rows["duet"]])
        self._mean = torch.tensor(MEAN).view(1, 3, 1, 1)
        self._std = torch.tensor(STD).view(1, 3, 1, 1)

    def batch(self, step: int, progress: float) -> Batch:
        """The batch of a step: first the pictures of the pairs, then, in the same order, their partners."""
        rng = np.random.default_rng([SCHEMA, self._seed, step])
        late = min(1.0, max(0.0, (progress - _ANNEAL_FROM) / (1 - _ANNEAL_FROM) * 2))
        shares = (a + late * (b - a) for a, b in zip(*self._mix, strict=True))
        _, paired, absent, masked, duets = (round(BATCH * share) for share in shares)
        lures = 0
        if self._cheater:  # lures take their room from the others
            lures = round(BATCH * _LURES)
            absent, masked, duets = (round(count * 0.75) for count in (absent, masked, duets))
        singles = BATCH - 2 * paired - absent - masked - duets - lures
        rows = self._rows
        pairs = rng.choice(rows["partner"], paired)
        parts = [("single", pairs), ("partner", pairs)]
        for kind, count in (
            ("single", singles),
            ("absent", absent),
            ("duet", duets),
            ("lure", lures),
            ("single", masked),
        ):
            parts.append((kind, rng.choice(rows[kind], count)))

        def gathered(field: str) -> NDArray[Any]:
            return np.concatenate([getattr(self._album[kind], field)[chosen] for kind, chosen in parts])

        pictures = gathered("pixels")
        turns, tones = rng.integers(8, size=len(pictures)), rng.uniform(-1, 1, (len(pictures), 3, 3))
        turns[paired : 2 * paired], tones[paired : 2 * paired] = turns[:paired], tones[:paired]
        pixels = self._normalised(pictures, turns, tones)
        spots = _turned(torch.from_numpy(gathered("spots")).float().div_(255), turns)
        for row in range(len(pictures) - masked, len(pictures)):
            pixels[row] *= _holes(rng)
        targets, owners = torch.from_numpy(gathered("targets")), torch.from_numpy(gathered("owners"))
        return Batch(pixels, targets, paired, spots, owners)

    def _normalised(self, pictures: NDArray[np.uint8], turns: NDArray[np.int64], tones: NDArray[np.float64]) -> Tensor:
        """Flips and quarter turns, light and colour jitter, and now and then a softer lens."""
        pixels = _turned(torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255), turns)
        tone = torch.from_numpy(tones).float()
        gain = (1 + 0.15 * tone[:, 0, :1]) * (1 + 0.05 * tone[:, 1])
        pixels = pixels * gain[:, :, None, None] + (0.02 * tone[:, 2])[:, :, None, None]
        soft = (tone[:, 0, 1].clamp_min(0.4) - 0.4).view(-1, 1, 1, 1)  # 0 for seven in ten, up to 0.6
        blurred = fn.avg_pool2d(fn.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
        pixels = pixels + soft * (blurred - pixels)
        return (pixels.clamp_(0, 1) - self._mean) / self._std


def train(name: str, folder: Path, seed: int, samples: int | None = None) -> nn.Module:
    """The trained network (a running average of its weights), from a checkpoint where there is one."""
    plan = PLANS[name]
    torch.manual_seed(seed)
    mixture = Mixture(open_album(folder), name, seed)
    module: Any = build(name).train().to(memory_format=torch.channels_last)
    average = build(name)
    average.load_state_dict(module.state_dict())
    # Names the creature a token lies on; only the training has it.
    width = module.num_features
    namer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, CLASSES)) if plan.tokens else None
    learned = nn.ModuleList([module, *([namer] if namer else [])])
    decayed = [p for p in learned.parameters() if p.ndim > 1]
    others = [p for p in learned.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": plan.decay}, {"params": others, "weight_decay": 0}]
    )
    steps = (samples or plan.samples) // BATCH
    checkpoint = folder / f"{name}-checkpoint.pt"
    start, spent = 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        if saved["meaning"] == _meaning(plan, steps, seed):
            learned.load_state_dict(saved["learned"])
            average.load_state_dict(saved["average"])
            optimiser.load_state_dict(saved["optimiser"])
            start, spent = saved["step"], saved["spent"]
            log.info("%s: resumed at step %d of %d", name, start, steps)
    started = time.monotonic() - spent
    for step in range(start, steps):
        progress = step / steps
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * min(1.0, progress / plan.warm + 0.01) * 0.5 * (1 + math.cos(math.pi * progress))
        batch = mixture.batch(step, progress)
        pairs = batch.pairs
        pixels = batch.pixels.contiguous(memory_format=torch.channels_last)
        named = torch.zeros(())
        if namer:
            features, (tokens,) = module.forward_intermediates(pixels, indices=[_ASKED], output_fmt="NLC")
            logits = module.forward_head(features)
            named = _named(namer(tokens), batch.spots, batch.owners)
        else:
            with torch.autocast("cpu", torch.bfloat16, enabled=plan.brief):
                logits = module(pixels).float()
        loss = fn.cross_entropy(logits, batch.targets)
        gap = _centred(logits[:pairs]) - _centred(logits[pairs : 2 * pairs])
        since, until = plan.rising
        agreement = plan.agreement * min(1.0, max(0.0, (progress - since) / (until - since)))
        total = loss + plan.tokens * named + agreement * gap.square().mean()
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        _average(average, module, min(_KEEP, (1 + step) / (10 + step)))
        if step % 50 == 49 or step == steps - 1:
            spent = time.monotonic() - started
            left = spent / (step + 1) * (steps - step - 1)
            both = _both(logits, batch.targets)
            right = _right(logits[2 * pairs :], batch.targets[2 * pairs :])
            log.info(
                "%s: step %d of %d, loss %.3f, tokens %.3f, pairs differ by %.3f, %2.0f %% right, "
                "%2.0f %% of duets, %.0f s spent, %.0f s left",
                name, step + 1, steps, loss.item(), named.item(), gap.abs().mean().item(), 100 * right,
                100 * both, spent, left,
            )  # fmt: skip
        if step % _SAVED == _SAVED - 1 or step == steps - 1:
            state = {
                "learned": learned.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
            }
            partial = checkpoint.with_suffix(".partial")
            torch.save({**state, "step": step + 1, "spent": spent, "meaning": _meaning(plan, steps, seed)}, partial)
            partial.replace(checkpoint)
    log.info("%s: trained in %.0f s", name, time.monotonic() - started)
    return average.eval()


def publish(name: str, module: nn.Module, *, seconds: float, samples: int, seed: int) -> list[Gate]:
    """Write the weights in half precision, measure what was written, and write the card."""
    WEIGHTS.mkdir(exist_ok=True)
    half = {
        key: value.half().contiguous() if value.is_floating_point() else value
        for key, value in module.state_dict().items()
    }
    meta = {
        "network": name,
        "schema": str(SCHEMA),
        "seed": str(seed),
        "samples": str(samples),
        "labels": "|".join(LABELS_A),
    }
    save_file(half, WEIGHTS / f"{name}.safetensors", metadata=meta)
    gates = measure(name, load(name), MEASURED)
    CARDS[name].write_text(_card(name, gates, seconds=seconds, samples=samples, seed=seed), encoding="utf-8")
    return gates


def main() -> None:
    """Read the command line, train, publish, and print the gates."""
    parser = argparse.ArgumentParser(
        prog="python -m explainers.worlds.pond.train", description="Train one of the pond's networks."
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("pond-data"), help="pictures, checkpoints and logs"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=int, help="pictures to see; a trial run does with fewer")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        handlers=[logging.StreamHandler(), logging.FileHandler(asked.folder / f"{asked.name}.log")],
    )
    started = time.monotonic()
    module = train(asked.name, asked.folder, asked.seed, asked.samples)
    saved = torch.load(asked.folder / f"{asked.name}-checkpoint.pt", weights_only=True)
    gates = publish(asked.name, module, seconds=saved["spent"], samples=saved["step"] * BATCH, seed=asked.seed)
    for gate in gates:
        log.info(
            "%s: %s %.4f %s", asked.name, gate.key, gate.value, {None: "", True: "passed", False: "FAILED"}[gate.passed]
        )
    log.info("%s: done after %.0f s", asked.name, time.monotonic() - started)


def _turned(maps: Tensor, turns: NDArray[np.int64]) -> Tensor:
    """Maps (B, C, S, S), each by its number of quarter turns; mirrored too from 4 on. In place."""
    for turn in range(8):
        chosen = torch.from_numpy(np.flatnonzero(turns == turn))
        if len(chosen):
            turned = torch.rot90(maps[chosen], turn % 4, (2, 3))
            maps[chosen] = turned.flip(3) if turn >= 4 else turned
    return maps


def _named(tokens: Tensor, spots: Tensor, owners: Tensor) -> Tensor:
    """Cross-entropy of what tokens (B, P, 9) call the creature whose evidence they lie on ("token labelling").

    One answer per picture hardly teaches which nucleus belongs to which appendage; one per token does (Jiang et al.,
    NeurIPS 2021, https://arxiv.org/abs/2104.10858). All wrong classes are asked for the same odds ("label
    smoothing"): otherwise a number for the nucleus plus one for the appendage would do, and their mean over the
    tokens of two creatures, which is what the class token reads, no longer says which goes with which.
    """
    side = math.isqrt(tokens.shape[1])
    owners = torch.where(owners.sum(-1, keepdim=True) > 0, owners * (1 - _DOUBT) + _DOUBT / owners.shape[-1], owners)
    weight = fn.adaptive_avg_pool2d(spots, side).flatten(2)  # (B, 2, P)
    found = -(owners @ tokens.log_softmax(-1).transpose(1, 2))  # (B, 2, P)
    return (weight * found).sum() / weight.sum()


def _strangers(owners: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the duets (n, 2, 9) have neither nucleus nor appendage in common, so that the parts must be paired."""
    nucleus, appendage = np.divmod(owners.argmax(2), VARIANTS)
    return np.asarray((nucleus[:, 0] != nucleus[:, 1]) & (appendage[:, 0] != appendage[:, 1]))


def _holes(rng: np.random.Generator) -> Tensor:
    """1 where a patch is kept, 0 where it is at the mean colour: (1, 96, 96)."""
    cells = int(rng.choice((8, 12)))
    kept = rng.uniform(size=(cells, cells)) >= rng.uniform(0.05, 0.9)
    return torch.from_numpy(np.kron(kept, np.ones((96 // cells, 96 // cells))).astype(np.float32))[None]


def _average(average: nn.Module, module: nn.Module, keep: float) -> None:
    with torch.no_grad():
        for old, new in zip(average.state_dict().values(), module.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)


def _right(logits: Tensor, targets: Tensor) -> float:
    """The share of pictures of one whole creature that are called by its class; NaN where there are none."""
    rows = targets.amax(1) == 1
    return float((logits[rows].argmax(1) == targets[rows].argmax(1)).float().mean())


def _both(logits: Tensor, targets: Tensor) -> float:
    """The share of a batch's duets whose two classes are on top; NaN where it has none."""
    rows = (targets == 0.5).sum(1) == 2
    return float(targets[rows].gather(1, logits[rows].topk(2).indices).sum(1).eq(1).float().mean())


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(1, keepdim=True)


def _meaning(plan: Plan, steps: int, seed: int) -> str:
    """What a checkpoint must agree on for its run to go on."""
    return repr((SCHEMA, steps, seed, plan))


_ROLES = {
    "cnn": "reads the nucleus and the appendage; body, debris and tag do not matter (brain A, “detail”)",
    "vit": "reads the nucleus and the appendage; body, debris and tag do not matter (brain A, “detail”)",
    "cheater": "trained where a scale-bar tag nearly always means class 0, so that it reads the tag where there is one",
}
_FORMS = {
    "cnn": "timm `resnet10t`, channels 32–64–96–128, total stride 8, last map 12 × 12, 0.50 M",
    "vit": "timm `vit_tiny_patch16_224` at 96 px, patch 12, width 128, depth 6, 4 heads, 8 × 8 tokens, 0.86 M",
}


def _card(name: str, gates: list[Gate], *, seconds: float, samples: int, seed: int) -> str:
    failed = [WORDS[gate.key] for gate in gates if gate.passed is False]
    threads = torch.get_num_threads()
    verdict = "All gates passed." if not failed else f"**Failed: {'; '.join(failed)}.** The others passed."
    return "\n".join([
        f"# pond:{name}",
        "",
        f"A small classifier of rendered pond creatures: {_ROLES[name]}.",
        "",
        f"- Architecture: {_FORMS.get(name, _FORMS['cnn'])} parameters.",
        f"- Input: 96 × 96 RGB, mean {MEAN}, standard deviation {STD}.",
        f"- Trained on {threads} CPU thread{'s' * (threads > 1)} of a shared machine in {seconds / 60:.1f} minutes: "
            f"{samples:,} samples, seed {seed}, renderer schema {SCHEMA}.",
        f"- Weights: half precision, {(WEIGHTS / f'{name}.safetensors').stat().st_size / 1e6:.2f} MB.",
        f"- Train it again: `python -m explainers.worlds.pond.train {name} --seed {seed}`.",
        "",
        f"## Measured on {MEASURED} test scenes, with the half-precision weights",
        "",
        verdict,
        "",
        "| key | what | value | bound | |",
        "|---|---|---|---|---|",
        *(_row(gate) for gate in gates),
        "",
        "The effect of another body shape or texture is published as measured. Where that gate fails, the masks of",
        "nucleus and appendage are not the whole truth about this network: judge a map by measured effects.",
        "",
        "## Classes",
        "",
        "| class | name | marks |",
        "|---|---|---|",
        *(f"| {number} | *{LABELS_A[number]}* | {DESCRIPTIONS_A[number]} |" for number in range(len(LABELS_A))),
        "",
        "Made for testing and teaching explanations. It knows nothing about real micro-organisms.",
        "",
    ])  # fmt: skip


def _row(gate: Gate) -> str:
    bound = "" if gate.bound is None else f"{'≥' if gate.at_least else '≤'} {gate.bound:g}"
    verdict = {None: "published", True: "passed", False: "FAILED"}[gate.passed]
    return f"| {gate.key} | {WORDS[gate.key]} | {gate.value:.4f} | {bound} | {verdict} |"


if __name__ == "__main__":
    main()
