"""What galleries and maps cost: embedding beside a bare loop, t-SNE beside scikit-learn's, neighbors and placing.

Part of `make bench`; `--long` adds t-SNE of 50,000 pictures. Where contenders take turns, what else the machine does
falls on all alike. Seconds are of the clock; with `--cpu`, of the processor, for a machine that is busy otherwise.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import explainers as ex
from explainers.galleries.building import at_once
from explainers.galleries.gallery import Gallery
from explainers.galleries.kept import mapped, write
from explainers.galleries.layout import lay_out, position
from explainers.galleries.neighbors import nearest
from explainers.galleries.stock import Entry, Stock
from explainers.galleries.trustworthiness import accuracy
from explainers.pictures import Framing, Picture

PICTURES = 160
LARGE = 50_000
clock: Callable[[], float] = time.perf_counter


def jpegs(count: int) -> list[bytes]:
    """Pictures of 500 × 375 as a camera writes them: clouds at several scales, so that they do not compress away."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(count):
        layers = [
            np.asarray(Image.fromarray(draw.integers(256, size=(c, c, 3), dtype=np.uint8)).resize((500, 375)), float)
            for c in (3, 12, 50, 200)
        ]
        data = io.BytesIO()
        Image.fromarray(np.mean(layers, axis=0).astype(np.uint8)).save(data, "JPEG", quality=90)
        found.append(data.getvalue())
    return found


def timed(work: Callable[[], object]) -> float:
    began = clock()
    work()
    return clock() - began


def embedding() -> None:
    import timm

    torch.manual_seed(0)
    module = timm.create_model("resnet18", pretrained=False).eval()
    model = ex.wrap(module, name="resnet18", framing=Framing(size=(224, 224)))
    data = jpegs(PICTURES)
    shelf = Stock("camera", [Entry(str(i), "", lambda one=one: Picture.read(one)) for i, one in enumerate(data)])
    batch = at_once(model)
    pixels = torch.randn(batch, 3, 224, 224)

    def bare() -> None:
        with torch.no_grad():
            for _ in range(PICTURES // batch):
                module(pixels)

    def ours() -> None:
        with tempfile.TemporaryDirectory() as out:
            Gallery.build(shelf, model, out, read_at=("pooled",))

    bare()
    ratios = [timed(bare) / timed(ours) for _ in range(5)]
    print(f"embed, ResNet-18 at 224 px, from JPEG: {statistics.median(ratios):.2f} of a bare loop (goal 0.9)")


def digits() -> None:
    from sklearn.datasets import load_digits
    from sklearn.manifold import TSNE

    vectors = load_digits().data.astype(np.float64)
    list(lay_out(vectors[:50]))  # imports
    ours, theirs, divergences = [], [], []
    for _ in range(3):
        frames: deque = deque(maxlen=1)
        ours.append(timed(lambda frames=frames: frames.extend(lay_out(vectors, metric="euclidean"))))
        made = TSNE(perplexity=30, init="pca", random_state=0)
        theirs.append(timed(lambda made=made: made.fit(vectors)))
        divergences.append((frames[0].divergence, made.kl_divergence_))
    share = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"t-SNE of 1,797 digits: {statistics.median(ours):.1f} s, {share:.2f} of scikit-learn's time (goal 1);")
    print(f"  divergence {divergences[0][0]:.3f}, scikit-learn's {divergences[0][1]:.3f}")


def neighbors() -> None:
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.safetensors"
        write(path, {"pooled": draw.normal(size=(LARGE, 512)).astype(np.float16)}, {})
        stored = mapped(path)[0]["pooled"]
        points = draw.normal(size=(LARGE, 2)).astype(np.float32) * 30
        for metric in ("cosine", "euclidean"):
            times = [timed(lambda row=row, m=metric: nearest(stored, stored[row], 10, m)) for row in range(12)][1:]
            print(f"neighbors, exact, over 50,000 × 512, {metric}: {1e3 * statistics.median(times):.0f} ms (goal 50)")
        times = [timed(lambda row=row: position(stored, points, stored[row] + np.float16(0.1))) for row in range(5)][1:]
        print(f"place a new picture in a map of 50,000: {statistics.median(times):.2f} s (goal 1)")


def large() -> None:
    draw = np.random.default_rng(0)
    of = draw.integers(10, size=LARGE)
    vectors = np.maximum(draw.normal(size=(10, 128))[of] * 1.2 + draw.normal(size=(LARGE, 128)), 0).astype(np.float16)
    frames: deque = deque(maxlen=1)
    seconds = timed(lambda: frames.extend(lay_out(vectors)))
    right = accuracy(frames[0].points, tuple(map(str, of)), metric="euclidean")
    print(f"t-SNE of 50,000 × 128: {seconds / 60:.1f} min (goal 8); neighbors name {right:.0%} rightly")


def main() -> None:
    global clock
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="t-SNE of 50,000, too")
    parser.add_argument("--cpu", action="store_true", help="seconds of the processor")
    asked = parser.parse_args()
    clock = time.process_time if asked.cpu else time.perf_counter
    neighbors()
    digits()
    embedding()
    if asked.long:
        large()


if __name__ == "__main__":
    main()
