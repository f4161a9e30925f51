"""What endpoints take: values with a schema, and a picture file that reaches us as it was sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.base import Component
from gradio.data_classes import FileData

from ..pictures import BYTES_LIMIT
from .stubless import Stubless

NO_FILE = "A picture is sent as a file. From Python: handle_file with the path of a JPEG, PNG or WebP file."
NO_ADDRESS = "The server fetches no addresses. Download the picture, and send the file."


class Given(Component, metaclass=Stubless):
    """A parameter of an endpoint: any value, with the schema and the words that clients are told. Checked inside."""

    EVENTS: list[Any] = []  # noqa: RUF012 - gradio's own form

    def __init__(self, value: Any, schema: dict[str, Any], label: str, about: str) -> None:
        self._schema = {**schema, "additional_description": about, "description": about}
        super().__init__(value=value, label=label)

    def get_block_name(self) -> str:
        """Gradio's own kind of a parameter that is drawn nowhere."""
        return "api"

    def preprocess(self, payload: Any) -> Any:
        """As it came: gradio would let wrong values pass, so they are checked where they are used."""
        return payload

    def postprocess(self, value: Any) -> Any:
        """As it is."""
        return value

    def api_info(self) -> dict[str, Any]:
        """The schema, with bounds and choices."""
        return self._schema

    def example_payload(self) -> Any:
        """The default."""
        return self.value

    def example_value(self) -> Any:
        """The default."""
        return self.value


class PictureFile(gr.File, metaclass=Stubless):  # type: ignore[misc]  # gradio has no types
    """A file that is handed on as bytes, not decoded, not re-encoded, and never fetched from an address."""

    def __init__(self, *, label: str, about: str) -> None:
        self._about = about
        super().__init__(label=label)
        # Without it, a value of a wrong type would fail inside gradio, without a sentence.
        self.data_model = None

    def get_block_name(self) -> str:
        """What it is to the browser."""
        return "file"

    def api_info(self) -> dict[str, Any]:
        """A file, as clients know it."""
        schema: dict[str, Any] = FileData.model_json_schema()
        return {**schema, "additional_description": self._about}

    def preprocess(self, payload: Any) -> bytes | None:
        """The bytes of the file. Raises `gr.Error` with a sentence."""
        if payload is None:
            return None
        path = payload.get("path") if isinstance(payload, dict) else getattr(payload, "path", None)
        meta = payload.get("meta") if isinstance(payload, dict) else None
        # Only a value marked as a file has had its path checked against the folder of uploads.
        if not isinstance(path, str) or not isinstance(meta, dict) or meta.get("_type") != "gradio.FileData":
            raise gr.Error(NO_FILE, print_exception=False)
        file = Path(path)
        if not file.is_file():
            raise gr.Error(NO_FILE, print_exception=False)
        if file.stat().st_size > BYTES_LIMIT:
            limit = BYTES_LIMIT // 1_000_000
            raise gr.Error(
                f"This file is larger than {limit} MB. Save it smaller and try again.", print_exception=False
            )
        return file.read_bytes()

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """Leave the upload where it is; refuse an address before anything is fetched."""
        text = str(url_or_file_path)
        if "://" in text or text.startswith(("data:", "//")):
            raise gr.Error(NO_ADDRESS, print_exception=False)
        return text

    def example_payload(self) -> Any:
        """No file: an example would have to be fetched from somewhere."""
        return None

    def example_value(self) -> Any:
        """No file."""
        return None
