"""Long work in a thread of its own, so that it can be watched and stopped; and a Space's GPU, where there is one."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

GPU_IS_LENT = bool(os.environ.get("SPACES_ZERO_GPU"))
"""Whether this is a Space that lends a GPU for the time of a call."""

TICK = 0.4
"""Seconds between two signs of life: often enough to notice a closed page, seldom enough to cost nothing."""
TOKENS = 512
"""Stops that are remembered for questions which have not begun yet."""

_stops: OrderedDict[str, threading.Event] = OrderedDict()
_lock = threading.Lock()


class Job(Generic[T]):
    """A function that runs in a thread and is handed `stop`; its result, or its error, is fetched by `result`."""

    def __init__(self, function: Callable[[Callable[[], bool]], T], token: str = "") -> None:
        self._stop = stop_event(token)
        self._began = time.perf_counter()
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._function = function
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def ticks(self) -> Iterator[float]:
        """The seconds so far, at every tick until it has ended; leaving early stops the work."""
        try:
            while True:
                self._thread.join(TICK)
                if not self._thread.is_alive():
                    return
                yield time.perf_counter() - self._began
        finally:
            if self._thread.is_alive():
                self._stop.set()

    def result(self) -> T:
        """What the function returned; raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        try:
            self._result.append(self._function(self._stop.is_set))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the result is fetched
            self._error = error


def stop(token: object) -> None:
    """Ask the work of that token to end, whether it has begun or still waits."""
    if isinstance(token, str) and 0 < len(token) <= 64:
        stop_event(token).set()


def stop_event(token: str) -> threading.Event:
    """The flag that belongs to a token; without a token, one of its own."""
    if not token:
        return threading.Event()
    with _lock:
        event = _stops.setdefault(token, threading.Event())
        _stops.move_to_end(token)
        while len(_stops) > TOKENS:
            _stops.popitem(last=False)
        return event


def on_gpu(function: F) -> F:
    """The function on a GPU lent for the call, inside a Space that lends them; itself anywhere else."""
    if not GPU_IS_LENT:
        return function
    try:
        from spaces import GPU  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return function
    lent: F = GPU(function)
    return lent
