"""Trains the network that reads digits, on the CPU: `python -m explainers.worlds.digits.train`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as fn

from ...errors import QuestionError, Stopped
from .drawn import MEAN, STD, held_out, pictures
from .reader import WEIGHTS, build

EPOCHS = 20
BATCH = 64
_RATE, _DECAY = 5e-3, 1e-2

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Other versions of a batch (N, 3, H, W) in [0, 1], same shape and range; all chance comes from the generator."""

Mix = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Pictures (N, 3, H, W) mixed with each other, and labels (N, C) as shares mixed likewise."""

Report = Callable[[float, float], None]
"""What is told after each batch: the share of the work that is done, and the loss of that batch."""


def train(
    pictures: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    augment: Augment | None = None,
    mix: Mix | None = None,
    epochs: int = EPOCHS,
    seed: int = 0,
    stop: Callable[[], bool] | None = None,
    report: Report | None = None,
) -> nn.Module:
    """A network trained to tell `labels` (N,) of `pictures` (N, H, W, 3) apart, in eval mode, with float32 weights.

    With `augment`, each batch is replaced by other versions of it; with `mix`, its pictures are mixed, and their labels
    with them. The same seed gives the same network on the same machine and number of threads. Raises `Stopped` when
    `stop` says so, and `QuestionError` for pictures that do not fit.
    """
    if pictures.ndim != 4 or pictures.shape[3] != 3 or pictures.dtype != np.uint8 or len(pictures) != len(labels):
        raise QuestionError("Pictures to train on are (N, height, width, 3), uint8, with one label for each.")
    if len(pictures) < 2 or epochs < 1:
        raise QuestionError("Training takes two pictures and one epoch at least.")
    module = build(seed, int(labels.max()) + 1).train()
    chance = torch.Generator().manual_seed(seed)
    pixels = torch.tensor(pictures).permute(0, 3, 1, 2)
    targets = torch.tensor(labels, dtype=torch.int64)
    batches = max(1, len(pictures) // BATCH)
    optimizer = torch.optim.AdamW(module.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=epochs * batches)
    for step in range(epochs * batches):
        if stop is not None and stop():
            raise Stopped("Stopped, as asked.")
        if step % batches == 0:
            order = torch.randperm(len(pixels), generator=chance)
        chosen = order[step % batches :: batches]
        batch = pixels[chosen].float() / 255
        if augment is not None:
            batch = augment(batch, chance)
        wanted = targets[chosen]
        if mix is not None:
            batch, wanted = mix(batch, fn.one_hot(wanted, int(labels.max()) + 1).float(), chance)
        loss = fn.cross_entropy(module(normalized(batch)), wanted, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if report is not None:
            report((step + 1) / (epochs * batches), float(loss.detach()))
    return module.eval().requires_grad_(False)


def accuracy(module: nn.Module, pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """The share of pictures (N, H, W, 3) that the network calls by their labels."""
    pixels = torch.tensor(pictures).permute(0, 3, 1, 2)
    with torch.no_grad():
        called = [module(normalized(part.float() / 255)).argmax(1) for part in torch.split(pixels, 256)]
    return float((torch.cat(called) == torch.tensor(labels)).float().mean())


def normalized(pixels: Tensor) -> Tensor:
    """Pixels (N, 3, H, W) in [0, 1] as the network takes them."""
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return (pixels - mean) / std


def publish(module: nn.Module, path: Path, about: dict[str, str]) -> None:
    """Write the weights in half precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in module.state_dict().items()}
    save_file(half, path, metadata=about)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, train on all digits but the held-out ones, publish, and print how it does on those."""
    parser = argparse.ArgumentParser(
        prog="python -m explainers.worlds.digits.train", description="Train the digit reader."
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    asked = parser.parse_args(arguments)
    pixels, labels = pictures()
    kept = held_out()
    began = time.monotonic()
    module = train(pixels[~kept], labels[~kept], epochs=asked.epochs, seed=asked.seed, report=_tell)
    seconds = time.monotonic() - began
    right = accuracy(module, pixels[kept], labels[kept])
    publish(module, asked.out, {"seed": str(asked.seed), "epochs": str(asked.epochs), "accuracy": f"{right:.4f}"})
    print(f"trained in {seconds:.0f} s; {right:.1%} of the {kept.sum()} held-out digits right; saved as {asked.out}")


def _tell(done: float, loss: float) -> None:
    tenth = done * 10
    if tenth - int(tenth) < 1e-9:
        print(f"{done:4.0%}  loss {loss:.3f}", flush=True)


if __name__ == "__main__":
    main()
