"""Numbers on disk: safetensors files, opened memory-mapped, and written so that a reader sees all or nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import QuestionError

_KINDS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "U8": "|u1",
    "BOOL": "|b1",
}
_NAMES = {np.dtype(code): name for name, code in _KINDS.items()}
_LONGEST_HEADER = 100_000_000


def mapped(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors of a safetensors file as memory-mapped arrays, and its metadata.

    Only what is looked at is read, and the file is never written: a change would stay in memory. Raises
    `QuestionError` for a file that is damaged or absent.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
                raise ValueError("no header")  # noqa: TRY301 - told as any other damage
            header = json.loads(file.read(length))
        about = header.pop("__metadata__", {})
        arrays = {name: _array(path, entry, 8 + length, size) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise QuestionError(f"“{path.name}” of this gallery is absent or damaged; build the gallery again.") from error
    return arrays, {str(key): str(value) for key, value in about.items()}


def write(path: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, str]) -> None:
    """Write arrays as one safetensors file, under another name until it is whole; a memory map is copied in parts."""
    header: dict[str, Any] = {"__metadata__": dict(about)}
    at = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("<")],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    head = json.dumps(header, ensure_ascii=False).encode()
    head += b" " * (-len(head) % 8)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for array in arrays.values():
            rows = max(1, (1 << 24) // max(1, array.nbytes // max(1, len(array)))) if array.ndim else 1
            for start in range(0, len(array), rows):
                file.write(np.ascontiguousarray(array[start : start + rows]).tobytes())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, under another name until it is whole."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")
    partial.replace(path)


# --- private ---------------------------------------------------------------------------------------------------------


def _array(path: Path, entry: Mapping[str, Any], begin: int, size: int) -> NDArray[Any]:
    kind = np.dtype(_KINDS[entry["dtype"]])
    shape = tuple(int(side) for side in entry["shape"])
    start, end = (int(offset) for offset in entry["data_offsets"])
    count = int(np.prod(shape, dtype=np.int64))
    if min((0, *shape)) < 0 or end - start != count * kind.itemsize or not 0 <= start <= end <= size - begin:
        raise ValueError("a tensor lies outside the file")
    if count == 0:
        return np.zeros(shape, kind)
    return np.memmap(path, kind, "c", begin + start, shape)
