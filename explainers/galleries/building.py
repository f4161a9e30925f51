"""Building a gallery: pictures are read, kept small, and embedded, shard by shard, so that nothing done is lost."""

from __future__ import annotations

import hashlib
import io
import json
import queue
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..errors import PictureError, QuestionError, Stopped
from ..network.classifier import Classifier
from ..pictures import Picture
from .embedding import READ_AT, embed, fingerprint, scale
from .kept import mapped, write, write_json
from .stock import Entry, Stock

SCHEMA = 1
"""Version of what lies on disk: raised when a field changes its meaning or goes."""

SHARD = 128
KEPT_SIDE = 160
"""Pixels of the longer side of the pictures that a gallery keeps; the networks saw the whole ones."""

_EXACT_SIDE = 64  # up to here a picture is kept without loss: it has no pixel to spare
_AHEAD = 3  # batches that wait, read and framed, while the network runs

Progress = Callable[[int, int], None]
"""What is told after each batch: how many pictures are done, and of how many."""


def build(
    stock: Stock,
    model: Classifier,
    out: Path,
    *,
    read_at: Sequence[str] = READ_AT,
    batch: int | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a gallery of `stock` as `model` has it into the folder `out`; another network's vectors may be there.

    What was cut off goes on at the shard it was in. A picture that cannot be read is left out and named. Raises
    `QuestionError` where `out` holds something else, or no picture can be read; `Stopped` when `stop` says so.
    """
    if batch is not None and batch < 1:
        raise QuestionError("A batch has one picture at least.")
    key = _key(model)
    plan = _plan(stock, out)
    work = out / "work" / key
    if (out / "vectors" / f"{key}.safetensors").exists() and (out / "gallery.json").exists():
        return
    work.mkdir(parents=True, exist_ok=True)
    done = 0
    for number, start in enumerate(range(0, len(stock.entries), SHARD)):
        entries = stock.entries[start : start + SHARD]
        path = work / f"{number:05d}.safetensors"
        if not path.exists():
            _shard(path, entries, model, read_at, batch or at_once(model), stop, done, len(stock.entries), progress)
        done += len(entries)
        if progress is not None:
            progress(done, len(stock.entries))
    _gather(stock, model, out, work, key, plan)


def at_once(model: Classifier) -> int:
    """Pictures in one batch: more gain no speed on a CPU, and fill a GPU."""
    height, width = model.framing.size
    most = 32 if model.device.type == "cpu" else 256
    return max(1, min(most, most * 224 * 224 // (height * width)))


def kept(picture: Picture) -> bytes:
    """A picture as a WebP whose longer side is at most `KEPT_SIDE`; small ones without loss."""
    image = picture.image()
    # In two steps, the first by whole pixels: half the time, and at this size nobody sees it.
    image.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.BILINEAR, reducing_gap=1.5)
    data = io.BytesIO()
    if max(image.size) <= _EXACT_SIDE:
        image.save(data, "WEBP", lossless=True, quality=0, method=0)
    else:
        image.save(data, "WEBP", quality=88, method=0)
    return data.getvalue()


# --- private ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Read:
    """One batch that is ready for the network, and what is kept of its pictures."""

    pixels: Tensor
    rows: list[tuple[str, str, str, bytes, tuple[int, int]]]
    """(name, label, digest, WebP, size of the original) of each."""
    skipped: list[str]


def _key(model: Classifier) -> str:
    plain = "".join(letter if letter.isalnum() else "-" for letter in model.name)[:60]
    return f"{plain}.{fingerprint(model)}"


def _plan(stock: Stock, out: Path) -> dict[str, Any]:
    """What a build that is resumed must agree on; written at the first start."""
    digest = hashlib.sha256()
    for entry in stock.entries:
        digest.update(f"{entry.name}\0{entry.label}\0".encode(errors="replace"))
    plan = {"schema": SCHEMA, "name": stock.name, "of": len(stock.entries), "entries": digest.hexdigest()}
    path = out / "plan.json"
    if path.exists():
        if json.loads(path.read_text("utf-8")) != plan:
            raise QuestionError(f"“{out.name}” holds another gallery, or the pictures changed; choose another folder.")
        return plan
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise QuestionError(f"“{out.name}” is there already and is no gallery; choose another folder.")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, plan)
    return plan


def _shard(
    path: Path,
    entries: Sequence[Entry],
    model: Classifier,
    read_at: Sequence[str],
    batch: int,
    stop: Callable[[], bool] | None,
    done: int,
    whole: int,
    progress: Progress | None,
) -> None:
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in (*read_at, "predicted", "confidence")}
    rows: list[tuple[str, str, str, bytes, tuple[int, int]]] = []
    skipped: list[str] = []
    for read in _ahead(entries, model, batch, stop):
        if len(read.pixels):
            found = embed(model, read.pixels, read_at, stop=stop)
            for each in read_at:
                parts[each].append(found.vectors[each].numpy())
            parts["predicted"].append(found.predicted.numpy())
            parts["confidence"].append(found.confidence.numpy())
        rows += read.rows
        skipped += read.skipped
        if progress is not None:
            progress(done + len(rows) + len(skipped), whole)
    arrays: dict[str, NDArray[Any]] = {
        n: np.concatenate(p) if p else np.zeros((0,), np.float32) for n, p in parts.items()
    }
    pictures = [row[3] for row in rows]
    arrays["pictures"] = np.frombuffer(b"".join(pictures), np.uint8)
    arrays["ends"] = np.cumsum([len(p) for p in pictures], dtype=np.int64)
    arrays["sizes"] = np.array([row[4] for row in rows], np.int32).reshape(-1, 2)
    about = {
        "names": [r[0] for r in rows],
        "labels": [r[1] for r in rows],
        "digests": [r[2] for r in rows],
        "skipped": skipped,
    }
    write(path, arrays, {name: json.dumps(value) for name, value in about.items()})


def _ahead(entries: Sequence[Entry], model: Classifier, batch: int, stop: Callable[[], bool] | None) -> Iterator[_Read]:
    """Batches in order, read and framed by another thread while the network runs on the one before."""
    ready: queue.Queue[_Read | BaseException | None] = queue.Queue(_AHEAD)
    ended = threading.Event()

    def offer(item: _Read | BaseException | None) -> None:
        while not ended.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            for start in range(0, len(entries), batch):
                if ended.is_set():
                    return
                offer(_read(entries[start : start + batch], model))
            offer(None)
        except BaseException as error:  # noqa: BLE001 - raised again by the one who waits
            offer(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if stop is not None and stop():
                raise Stopped("Stopped, as asked.")
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        ended.set()
        thread.join()


def _read(entries: Sequence[Entry], model: Classifier) -> _Read:
    pixels, rows, skipped = [], [], []
    for entry in entries:
        try:
            picture = entry.read()
        except PictureError as error:
            skipped.append(f"{entry.name}: {error}")
            continue
        pixels.append(model.framing.frame(picture))
        rows.append((entry.name, entry.label, picture.digest, kept(picture), picture.size))
    return _Read(torch.stack(pixels) if pixels else torch.zeros(0), rows, skipped)


def _gather(stock: Stock, model: Classifier, out: Path, work: Path, key: str, plan: dict[str, Any]) -> None:
    """Put the shards together, the list of pictures last: a gallery that has one is whole."""
    shards = [mapped(path) for path in sorted(work.glob("*.safetensors"))]
    shards = [(arrays, about) for arrays, about in shards if len(arrays["ends"])]
    told: dict[str, list[str]] = {"names": [], "labels": [], "digests": [], "skipped": []}
    for path in sorted(work.glob("*.safetensors")):
        _, about = mapped(path)
        for name, values in told.items():
            values.extend(json.loads(about[name]))
    if not shards:
        raise QuestionError(
            f"None of the {len(stock.entries)} pictures of {stock.name} can be read; the first: {told['skipped'][0]}"
        )
    if (out / "gallery.json").exists():
        known = json.loads((out / "gallery.json").read_text("utf-8"))
        if known["digests"] != told["digests"]:
            raise QuestionError(
                f"The pictures of {stock.name} changed since “{out.name}” was built; choose another folder."
            )
    vectors, scales = _vectors(shards)
    (out / "vectors").mkdir(exist_ok=True)
    about = {
        "model": model.name,
        "fingerprint": fingerprint(model),
        "labels": json.dumps(list(model.head.decisions(model.labels)), ensure_ascii=False),
        "scales": json.dumps(scales),
    }
    write(out / "vectors" / f"{key}.safetensors", vectors, about)
    if not (out / "gallery.json").exists():
        lengths = np.concatenate([np.diff(arrays["ends"], prepend=0) for arrays, _ in shards])
        pictures = {
            "bytes": np.concatenate([arrays["pictures"] for arrays, _ in shards]),
            "ends": np.cumsum(lengths, dtype=np.int64),
            "sizes": np.concatenate([arrays["sizes"] for arrays, _ in shards]),
        }
        write(out / "pictures.safetensors", pictures, {})
        write_json(out / "gallery.json", {"schema": SCHEMA, "name": plan["name"], **told})
    shutil.rmtree(out / "work", ignore_errors=True)


def _vectors(
    shards: list[tuple[dict[str, NDArray[Any]], dict[str, str]]],
) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    vectors: dict[str, NDArray[Any]] = {}
    scales: dict[str, float] = {}
    for each in shards[0][0].keys() & set(READ_AT):
        parts = [arrays[each] for arrays, _ in shards]
        largest = max(float(np.abs(part).max(initial=0)) for part in parts)
        if not np.isfinite(largest):
            raise QuestionError("The network gave vectors that are not finite: it overflows on one of the pictures.")
        scales[each] = scale(largest)
        vectors[each] = np.concatenate([(part / scales[each]).astype(np.float16) for part in parts])
    vectors["predicted"] = np.concatenate([arrays["predicted"] for arrays, _ in shards]).astype(np.int32)
    vectors["confidence"] = np.concatenate([arrays["confidence"] for arrays, _ in shards]).astype(np.float32)
    return vectors, scales
