"""What training with augmentation does: a small network that reads digits, trained four ways.

`python -m explainers.augmenting.experiment` trains them, and holds what they learned against sweeps and one picture.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import Stopped
from ..network.classifier import Classifier, wrap
from ..pictures import Framing, Picture
from ..registry import heat_method, heat_of
from ..trace import Trace
from ..worlds.digits import LABELS, SIDE, held_out, pictures
from ..worlds.digits.drawn import MEAN, STD
from ..worlds.digits.train import Augment, Mix, normalized, train
from .mixing import cut_mix
from .pipeline import PRESETS, Pipeline
from .sweeps import SWEEPS, Sweep

RESULTS = Path(__file__).parent / "results" / "experiment.json"
"""What the command wrote, so that nobody has to wait to see it."""

EPOCHS = 6
HELD_OUT = 225
"""Digits that are asked about; none of them was trained with."""
POINTS = 7
SHOWN = 3
"""Which of the held-out digits is explained by all four."""

TRANSFORMS = ("rotation", "shift", "scale", "shear", "crop", "brightness", "contrast", "blur", "noise", "erasing")

Stop = Callable[[], bool]
Report = Callable[[float, dict[str, Any]], None]
"""What is told on the way: the share of the work that is done, and the results so far."""


@dataclass(frozen=True)
class Way:
    """A way of training."""

    name: str
    title: str
    augment: Augment | None = None
    mix: Mix | None = None


def experiment(
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
    count: int | None = None,
    stop: Stop | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train four networks, and tell accuracy clean and under each transform, curves, and maps of one digit, as JSON.

    The same seed gives the same on the same machine and number of threads. `count` trains with so many digits only,
    and asks about no more. Raises `Stopped` when `stop` says so.
    """
    pixels, labels = pictures()
    kept = held_out()
    most = min(count or HELD_OUT, HELD_OUT)
    told: dict[str, Any] = {"seed": seed, "epochs": epochs, "held_out": most, "digit": int(labels[kept][SHOWN]),
                            "sweeps": [_about(SWEEPS[name]) for name in TRANSFORMS], "ways": []}  # fmt: skip
    asked = torch.tensor(pixels[kept][:most]).permute(0, 3, 1, 2)
    wanted = torch.tensor(labels[kept][:most])
    ways = list(_ways())
    for number, way in enumerate(ways):

        def heard(done: float, _loss: float, number: int = number) -> None:
            if report is not None:
                report((number + _TRAINING * done) / len(ways), told)

        began = time.monotonic()
        module = train(
            pixels[~kept][:count], labels[~kept][:count], augment=way.augment, mix=way.mix, epochs=epochs, seed=seed,
            stop=stop, report=heard,
        )  # fmt: skip
        seconds = time.monotonic() - began
        curves = {}
        for name in TRANSFORMS:
            if stop is not None and stop():
                raise Stopped("Stopped, as asked.")
            curves[name] = [_accuracy(module, each, wanted) for each in _swept(SWEEPS[name], asked)]
        found = {"name": way.name, "title": way.title, "seconds": round(seconds, 1)}
        found |= {"clean": _accuracy(module, asked, wanted), "curves": curves}
        told["ways"].append(found | _explained(module, pixels[kept][SHOWN]))
        if report is not None:
            report((number + 1) / len(ways), told)
    return told


def shipped() -> dict[str, Any]:
    """The results that come with the package."""
    found: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
    return found


def digit() -> Picture:
    """The digit that all four explain."""
    return Picture.read(pictures()[0][held_out()][SHOWN])


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, run, write the results and print a table."""
    parser = argparse.ArgumentParser(prog="python -m explainers.augmenting.experiment", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args(arguments)
    began = time.monotonic()
    told = experiment(seed=asked.seed, epochs=asked.epochs)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(told, separators=(",", ":")) + "\n", "utf-8")
    print(f"{'':12}" + "".join(f"{way['title']:>24}" for way in told["ways"]))
    print(f"{'clean':12}" + "".join(f"{way['clean']:24.1%}" for way in told["ways"]))
    for name in TRANSFORMS:
        print(f"{name:12}" + "".join(f"{np.mean(way['curves'][name]):24.1%}" for way in told["ways"]))
    print(f"in {time.monotonic() - began:.0f} s; saved as {asked.out}")


# --- private ---------------------------------------------------------------------------------------------------------

_TRAINING = 0.8
"""The share of the time that goes into training; the rest into asking."""


def _ways() -> Iterator[Way]:
    yield Way("none", "no augmentation")
    # A mirrored digit is another sign, so the flip is left out.
    classic = PRESETS["classic"].partition(", ")[2]
    yield Way("classic", "classic, without flips", _treated(classic))
    yield Way("rand_augment", "RandAugment (2, 9)", _treated(PRESETS["rand_augment"]))
    yield Way("cutmix", "CutMix", mix=_pasted)


def _treated(text: str) -> Augment:
    ready = Pipeline.parse(text).at((SIDE, SIDE))

    def augment(batch: Tensor, chance: torch.Generator) -> Tensor:
        seeds = torch.randint(2**31, (len(batch),), generator=chance).tolist()
        whole = (batch * 255).round().to(torch.uint8)
        return torch.stack([ready.sample(one, s)[0] for one, s in zip(whole, seeds, strict=True)]).float() / 255

    return augment


def _pasted(batch: Tensor, labels: Tensor, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each picture with a box of the one before it, as torchvision's CutMix pairs a batch."""
    seeds = torch.randint(2**31, (len(batch),), generator=chance).tolist()
    others, theirs = batch.roll(1, 0), labels.roll(1, 0)
    mixed = [cut_mix(*pair, seed=s) for *pair, s in zip(batch, others, seeds, strict=True)]
    shares = torch.tensor([each.share for each in mixed])[:, None]
    return torch.stack([each.pixels for each in mixed]), labels * shares + theirs * (1 - shares)


def _about(sweep: Sweep) -> dict[str, Any]:
    return {"name": sweep.name, "title": sweep.title, "unit": sweep.unit, "along": sweep.values(POINTS)}


def _swept(sweep: Sweep, asked: Tensor) -> Iterator[Tensor]:
    """All pictures (N, 3, H, W), uint8, at each value of a sweep; what is drawn is drawn once for all of them."""
    for value in sweep.values(POINTS):
        treated = asked
        for action in sweep.recipe(value, (SIDE, SIDE)).actions:
            treated = action.apply(treated)
        yield treated


def _accuracy(module: nn.Module, asked: Tensor, wanted: Tensor) -> float:
    with torch.no_grad():
        return round(float((module(normalized(asked.float() / 255)).argmax(1) == wanted).float().mean()), 4)


def _explained(module: nn.Module, shown: Any) -> dict[str, Any]:
    """What the network says to one digit, and its map."""
    trace = Trace(_reader(module), Picture.read(shown))
    by = heat_method("", trace.classifier)
    heat, best = heat_of(trace, by).heat, trace.top(1)[0]
    told = {"says": best.label, "share": round(best.probability or 0.0, 4), "method": by.title}
    return told | {"heat": np.round(heat.astype(float), 4).tolist()}


def _reader(module: nn.Module) -> Classifier:
    framing = Framing(size=(SIDE, SIDE), mode="squash", resample="bilinear", mean=MEAN, std=STD)
    return wrap(module, labels=LABELS, framing=framing, name="a reader of digits")


if __name__ == "__main__":
    main()
