"""What augmentation costs, beside bare batched loops over the same pictures, by turns.

`PYTHONPATH=. python tests/benchmarks/bench_augment.py`
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import torch
from bench import measure, network
from torch import Tensor, nn

import explainers as ex
from explainers.augmenting import SWEEPS, Pipeline, picture_of
from explainers.pictures import Picture
from explainers.worlds import pond

POINTS, VARIANTS = 25, 16


def contenders(model: ex.Classifier, module: nn.Module, picture: Picture) -> dict[str, Callable[[], Any]]:
    from torchvision.transforms.v2 import InterpolationMode, functional

    trace = ex.look(model, picture)
    trace.top(1)  # the page has asked by then
    shown, size, at_once = picture_of(trace), tuple(trace.pixels.shape[-2:]), trace.at_once

    def forwards(pixels: Tensor) -> None:
        with torch.no_grad():
            for part in torch.split(model.framing.normalize(pixels), at_once):
                module(part)

    def bare(count: int) -> Callable[[], None]:
        pixels = trace.pixels.repeat(count, 1, 1, 1)
        return lambda: forwards(pixels)

    def swept() -> None:
        turned = [functional.rotate(shown, v, InterpolationMode.BILINEAR) for v in SWEEPS["rotation"].values(POINTS)]
        forwards(torch.stack(turned).float() / 255)

    def drawn(text: str) -> Callable[[], None]:
        ready = Pipeline.parse(text).at(size)
        return lambda: forwards(torch.stack([ready.sample(shown, s)[0] for s in range(VARIANTS)]).float() / 255)

    def asked(method: str, **options: Any) -> Callable[[], Any]:
        return lambda: ex.explain(trace.ask(trace.target), method, **options)

    turning = "horizontal_flip, rotation(degrees=15)"
    return {
        f"bare, {POINTS} pictures": bare(POINTS),
        "bare, making and asking 25 rotations": swept,
        "robustness, 25 rotations": asked("robustness", points=POINTS),
        f"bare, {VARIANTS} pictures": bare(VARIANTS),
        "bare, making and asking 16 turned": drawn(turning),
        "consistency with Grad-CAM, 16 turned": asked("consistency", pipeline=turning, explained_by="grad_cam"),
        "bare, making and asking 16 classic": drawn("classic"),
        "consistency with Grad-CAM, 16 classic": asked("consistency", pipeline="classic", explained_by="grad_cam"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", default="pond:cnn,resnet50")
    choice = parser.parse_args()
    warnings.simplefilter("ignore")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    picture = Picture.read(pond.render(pond.scene("test", 6), 384).pixels)
    for name in choice.networks.split(","):
        if name.startswith("pond:"):
            model = ex.load(name, device=device)
            module = model.module
        else:
            model, module = network(name, device)
        known = contenders(model, module, picture)
        times = measure(known, choice.rounds, device, warm=1)
        print(f"\n{name}, {device}, {torch.get_num_threads()} threads")
        for title, spent in times.items():
            bare = times[f"bare, {POINTS if '25' in title else VARIANTS} pictures"]
            ratio = statistics.median(t / b for t, b in zip(spent, bare, strict=True))
            print(f"  {title:40} × {ratio:6.2f}   {1000 * statistics.median(spent):8.0f} ms")


if __name__ == "__main__":
    main()
