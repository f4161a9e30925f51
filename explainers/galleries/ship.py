"""Makes what the built-in galleries ship: vectors, layouts, thumbnails. `python -m explainers.galleries.ship`."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections import deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..network.classifier import load
from .building import build
from .built_in import COLUMNS, SHEET, TILE, collection, names, shelf, world
from .gallery import LAYOUTS
from .kept import mapped, write
from .layout import lay_out
from .trustworthiness import aligned


def ship(name: str) -> None:
    """Write vectors and layouts of every network of a built-in gallery, and what tells its pictures."""
    pictures, of = shelf(name), world(name)
    out = of.gallery
    shutil.rmtree(out, ignore_errors=True)
    for kind in ("vectors", LAYOUTS):
        (out / kind).mkdir(parents=True)
    for network in of.networks:
        identifier, read_at = of.identifier(network.name), network.embedded
        with tempfile.TemporaryDirectory() as made:
            build(pictures, load(identifier, device="cpu"), Path(made), read_at=read_at)
            (path,) = (Path(made) / "vectors").glob("*.safetensors")
            shutil.copyfile(path, out / "vectors" / path.name)
            digests = _digests(Path(made))
        arrays, about = mapped(out / "vectors" / path.name)
        layouts: dict[str, NDArray[np.float32]] = {}
        for each in read_at:
            (last,) = deque(lay_out(arrays[each]), maxlen=1)
            onto = layouts.get("pooled/tsne")
            layouts[f"{each}/tsne"] = last.points if onto is None else aligned(last.points, onto)
        (last,) = deque(lay_out(arrays["pooled"], "umap"), maxlen=1)
        layouts["pooled/umap"] = aligned(last.points, layouts["pooled/tsne"])
        write(out / LAYOUTS / f"{about['fingerprint']}.safetensors", layouts, {"model": identifier})
    write(out / "digests.safetensors", {"digests": digests}, {})
    if collection(name).slow:
        rows = -(-len(pictures.entries) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * TILE, rows * TILE))
        for number, entry in enumerate(pictures.entries):
            small = entry.read().image().resize((TILE, TILE), Image.Resampling.LANCZOS)
            sheet.paste(small, (number % COLUMNS * TILE, number // COLUMNS * TILE))
        sheet.save(out / SHEET, quality=75, method=6)


def main() -> None:
    """Read the command line and ship."""
    parser = argparse.ArgumentParser(prog="python -m explainers.galleries.ship", description="Built-in galleries.")
    parser.add_argument("names", nargs="*", help=f"{', '.join(names())}; all by default")
    for name in parser.parse_args().names or names():
        began = time.monotonic()
        ship(name)
        print(f"{name}: {time.monotonic() - began:.0f} s")


# --- private ---------------------------------------------------------------------------------------------------------


def _digests(made: Path) -> NDArray[np.uint8]:
    told = json.loads((made / "gallery.json").read_text("utf-8"))
    return np.array([list(bytes.fromhex(digest)) for digest in told["digests"]], np.uint8)


if __name__ == "__main__":
    main()
