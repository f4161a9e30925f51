"""What is kept between questions: networks, pictures, traces and answers; within bounds, the least used goes first."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import explainers as ex

from ..errors import ModelError
from ..explanation import Explanation
from ..trace import Trace
from .catalogue import Catalogue
from .pictures import Shown

T = TypeVar("T")

GIGABYTE = 1 << 30
TRACE_BYTES = 32 << 20
"""What a released trace takes at most, by rule of thumb: the maps of four depths of a ResNet-50 and one short graph."""
PICTURE_BYTES = GIGABYTE // 4
TRACES_BYTES = GIGABYTE
EXPLANATIONS_BYTES = GIGABYTE // 4
ANSWERS = 64
"""Finished answers that are kept; each is well below a megabyte."""


class Lru(Generic[T]):
    """A mapping within a bound: what was not used for longest goes first. Safe from several threads."""

    def __init__(self, bound: int, weigh: Callable[[T], int], fewest: int = 1) -> None:
        self._bound, self._weigh, self._fewest = bound, weigh, fewest
        self._items: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> T | None:
        """The item, now the most recently used; None where it is not there (any more)."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: Hashable, item: T) -> T:
        """Keep it, and let go of the least used until all fit; the `fewest` newest stay however large."""
        with self._lock:
            self._items[key] = item
            self._items.move_to_end(key)
            while len(self._items) > self._fewest and sum(map(self._weigh, self._items.values())) > self._bound:
                self._items.popitem(last=False)
            return item

    def keep(self, wanted: Callable[[T], bool]) -> None:
        """Let go of every item that is not wanted."""
        with self._lock:
            for key in [key for key, item in self._items.items() if not wanted(item)]:
                del self._items[key]

    def holds(self, item: T) -> bool:
        """Whether this very item is there."""
        with self._lock:
            return any(kept is item for kept in self._items.values())

    def setdefault(self, key: Hashable, item: T) -> T:
        """The item that is there, or this one."""
        found = self.get(key)
        return self.put(key, item) if found is None else found


@dataclass(eq=False)
class Shelf:
    """One for the whole process: twenty visitors with one network share it."""

    catalogue: Catalogue
    device: str | None = None
    # Two at least, since a comparison needs two at once.
    networks: Lru[ex.Classifier] = field(
        default_factory=lambda: Lru(network_bytes(), lambda network: network.bytes, fewest=2)
    )
    pictures: Lru[Shown] = field(default_factory=lambda: Lru(PICTURE_BYTES, lambda shown: shown.picture.array.nbytes))
    traces: Lru[Trace] = field(default_factory=lambda: Lru(TRACES_BYTES, lambda _: TRACE_BYTES))
    explanations: Lru[Explanation] = field(default_factory=lambda: Lru(EXPLANATIONS_BYTES, _explanation_bytes))
    """What is on somebody's screen, so that judging it runs no method again."""
    answers: Lru[dict[str, Any]] = field(default_factory=lambda: Lru(ANSWERS, lambda _: 1))
    number: int = field(default_factory=lambda: next(_numbers))
    """Names the shelf where it cannot go itself: into the process that a Space lends its GPU to."""
    _loading: dict[str, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        _shelves[self.number] = self

    def network(self, identifier: str) -> ex.Classifier:
        """The network, loaded once however many ask at the same moment. Raises `ModelError`."""
        with self._lock:
            gate = self._loading.setdefault(identifier, threading.Lock())
        try:
            with gate:
                found = self.networks.get(identifier)
                if found is None:
                    found = self.networks.put(identifier, self._load(identifier))
                    # Traces hold their network; those of one that had to go must not keep it in memory.
                    self.traces.keep(lambda trace: self.networks.holds(trace.classifier))
                return found
        finally:
            with self._lock:
                self._loading.pop(identifier, None)

    def trace(self, identifier: str, shown: Shown) -> Trace:
        """What this network has computed about this picture so far."""
        network = self.network(identifier)
        key = (identifier, *shown.key)
        found = self.traces.get(key)
        # A network that was let go and loaded again is another object, and its old traces hold the old one alive.
        if found is None or found.classifier is not network:
            found = self.traces.put(key, ex.look(network, shown.picture))
        return found

    def _load(self, identifier: str) -> ex.Classifier:
        entry = self.catalogue.network(identifier)
        loaded = ex.load(entry.source if entry else identifier, device=self.device, local=bool(entry))
        bound = network_bytes()
        if loaded.bytes > bound:
            raise ModelError(
                f"{identifier} takes {loaded.bytes / GIGABYTE:.1f} GB; at most {bound / GIGABYTE:.1f} GB fit here. "
                "Choose a smaller one."
            )
        # A file of this machine has no place in sentences.
        return loaded if loaded.name == identifier else replace(loaded, name=identifier)


def shelf_of(number: int) -> Shelf:
    """The shelf of that number; a forked process has its own copy of it."""
    return _shelves[number]


def network_bytes() -> int:
    """How many bytes of networks are kept: a quarter of the machine's memory, from 1 to 4 GB."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not every system tells
        memory = 4 * GIGABYTE
    return max(GIGABYTE, min(4 * GIGABYTE, memory // 4))


# --- private ---------------------------------------------------------------------------------------------------------


def _explanation_bytes(answer: Explanation) -> int:
    """What the method gave, a heat as large as the picture where it was asked for, and those of the working."""
    laid = answer.heat.nbytes if "heat" in vars(answer) else 0
    given = sum(array.nbytes for array in answer.result.arrays().values())
    return given + laid + sum(step.heat.nbytes for step in answer.working)


_numbers: Iterator[int] = itertools.count()
_shelves: weakref.WeakValueDictionary[int, Shelf] = weakref.WeakValueDictionary()
