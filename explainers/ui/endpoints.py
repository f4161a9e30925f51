"""Every method as an endpoint with a typed, documented signature, built from the registry."""

from __future__ import annotations

from .shelf import Shelf


def add(shelf: Shelf, concurrency: dict[str, int]) -> None:
    """Endpoints."""
