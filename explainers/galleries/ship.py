"""Makes what the built-in galleries ship: vectors, maps, thumbnails. `python -m explainers.galleries.ship`."""

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
from .built_in import COLUMNS, NAMES, SHEET, TILE, folder, shelf
from .embedding import PLACES
from .kept import mapped, write
from .layout import lay_out
from .trustworthiness import aligned

# What each network's vectors are kept of: all places where a film through the depths is worth its bytes.
PLANS: dict[str, dict[str, tuple[str, ...]]] = {
    "digits": {"digits:cnn": PLACES, "digits:untrained": ("pooled",)},
    "pond": {
        "pond:cnn": PLACES,
        "pond:vit": ("pooled", "late", "middle", "early"),
        "pond:cheater": ("pooled", "late"),
    },
}


def ship(name: str) -> None:
    """Write vectors and maps of every network of a built-in gallery, and what tells its pictures."""
    pictures, out = shelf(name), folder(name)
    shutil.rmtree(out, ignore_errors=True)
    for kind in ("vectors", "maps"):
        (out / kind).mkdir(parents=True)
    for identifier, places in PLANS[name].items():
        with tempfile.TemporaryDirectory() as made:
            build(pictures, load(identifier, device="cpu"), Path(made), places=places)
            (path,) = (Path(made) / "vectors").glob("*.safetensors")
            shutil.copyfile(path, out / "vectors" / path.name)
            digests = _digests(Path(made))
        arrays, about = mapped(out / "vectors" / path.name)
        maps: dict[str, NDArray[np.float32]] = {}
        for place in places:
            (last,) = deque(lay_out(arrays[place]), maxlen=1)
            onto = maps.get("pooled/tsne")
            maps[f"{place}/tsne"] = last.points if onto is None else aligned(last.points, onto)
        (last,) = deque(lay_out(arrays["pooled"], "umap"), maxlen=1)
        maps["pooled/umap"] = aligned(last.points, maps["pooled/tsne"])
        write(out / "maps" / f"{about['fingerprint']}.safetensors", maps, {"model": identifier})
    write(out / "digests.safetensors", {"digests": digests}, {})
    if name == "pond":
        rows = -(-len(pictures.entries) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * TILE, rows * TILE))
        for number, entry in enumerate(pictures.entries):
            small = entry.read().image().resize((TILE, TILE), Image.Resampling.LANCZOS)
            sheet.paste(small, (number % COLUMNS * TILE, number // COLUMNS * TILE))
        sheet.save(out / SHEET, quality=75, method=6)


def main() -> None:
    """Read the command line and ship."""
    parser = argparse.ArgumentParser(prog="python -m explainers.galleries.ship", description="Built-in galleries.")
    parser.add_argument("names", nargs="*", help=f"{', '.join(NAMES)}; all by default")
    for name in parser.parse_args().names or NAMES:
        began = time.monotonic()
        ship(name)
        print(f"{name}: {time.monotonic() - began:.0f} s")


# --- private ---------------------------------------------------------------------------------------------------------


def _digests(made: Path) -> NDArray[np.uint8]:
    told = json.loads((made / "gallery.json").read_text("utf-8"))
    return np.array([list(bytes.fromhex(digest)) for digest in told["digests"]], np.uint8)


if __name__ == "__main__":
    main()
