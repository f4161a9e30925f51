"""Components that leave no stub files behind."""

from __future__ import annotations

from abc import ABCMeta
from typing import Any

from gradio.component_meta import ComponentMeta, updateable


class Stubless(ComponentMeta):  # type: ignore[misc]  # gradio has no types
    """The class of component classes that add no events of their own.

    Gradio's own writes a .pyi file beside the source of each component class, and an installed package is no place
    for that; what else it does for such a class is done here.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> Any:
        """The class, its `__init__` remembered by gradio."""
        if "__init__" in attrs:
            attrs["__init__"] = updateable(attrs["__init__"])
        return ABCMeta.__new__(cls, name, bases, attrs)
