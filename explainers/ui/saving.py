"""An answer as a file that gradio serves and later removes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from gradio.components.base import Component
from gradio.utils import get_upload_folder

from ..explanation import Explanation

KINDS = ("png", "npz", "json")
"""The endings of a saved answer: the overlay, the numbers, and all there is to say about them."""


def written(answer: Explanation, kind: str, owner: Component, *, full: bool = False) -> str:
    """The path of a new file with the answer; it counts among the owner's, which `delete_cache` removes in time.

    With `full`, a large photograph is drawn, and its heat kept, pixel by pixel.
    """
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(prefix=f"{answer.method.id}-", suffix=f".{kind}", dir=folder)
    os.close(handle)
    answer.save(path, full=full)
    owner.temp_files.add(path)
    return path
