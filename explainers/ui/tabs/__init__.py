"""The tabs beside “Why?”: each is one folder here, with template, script and style of its name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from ..tab import Tab


@cache
def all_tabs() -> tuple[Tab, ...]:
    """Every tab there is, from left to right. Raises `TypeError` for a folder whose `TAB` does not bear its name."""
    found = []
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        tab = getattr(importlib.import_module(module.name), "TAB", None)
        if not isinstance(tab, Tab) or tab.id != module.name.rpartition(".")[2]:
            raise TypeError(f"{module.name} declares TAB = Tab(id={module.name.rpartition('.')[2]!r}, …)")
        found.append(tab)
    return tuple(sorted(found, key=lambda tab: (tab.order, tab.id)))
