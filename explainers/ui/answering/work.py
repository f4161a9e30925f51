"""Work for the page: streamed step by step, stopped when asked, mishaps as sentences, on a lent GPU if there is one."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from ...errors import DoesNotApply, SightglassError, Stopped
from .. import words
from ..shelf import Shelf, shelf_of

F = TypeVar("F", bound=Callable[..., Any])

Json = dict[str, Any]
Stop = Callable[[], bool]
Later = Callable[[], Json]
Tell = Callable[[Json | Later], object]
"""Takes what there is so far; what is still to be packed is, where it is sent at all."""
Work = Callable[[Json, Shelf, Stop, Tell], Json]
"""Given what the browser sent: the answer, with `tell` for what there is so far. Raises in words."""

GPU_IS_LENT = bool(os.environ.get("SPACES_ZERO_GPU"))
"""Whether this is a Space that lends a GPU for the time of a call."""

TICK = 0.4
"""Seconds between two signs of life: often enough to notice a closed page, seldom enough to cost nothing."""
GAP = 0.3
"""Seconds from one piece of news to the next: the first comes at once, and of the others the latest wins."""
TOKENS = 512
"""Stops that are remembered for questions which have not begun yet."""

log = logging.getLogger(__name__)


def streamed(given: object, shelf: Shelf, work: Work) -> Iterator[Json]:
    """What the work tells, better and better, then its answer; every mishap is a sentence in the same place.

    Each message carries the browser's token, the seconds so far, and a state: working, done, stopped, error, or what
    the work says itself. Leaving early, or the stop of that token, ends the work.
    """
    given = given if isinstance(given, dict) else {}
    stop = _flag(token := _token(given))
    messages = _lent(given, shelf.number, work, token)
    try:
        for told in messages:
            yield told
            if GPU_IS_LENT and stop.is_set():  # which the other process does not see
                yield told | failure(Stopped())
                return
    finally:
        messages.close()


def stop(token: object) -> None:
    """Ask the work of that token to end, whether it has begun or still waits."""
    if isinstance(token, str) and 0 < len(token) <= 64:
        _flag(token).set()


def failure(error: Exception) -> Json:
    """An error as the screen shows it: our own sentences as they are, anything else in general words."""
    if isinstance(error, Stopped):
        return {"state": "stopped", "sentence": "Stopped. The last answer is still here."}
    if isinstance(error, SightglassError):
        kind = "does not apply" if isinstance(error, DoesNotApply) else "error"
        return {"state": "error", "kind": kind, "sentence": str(error)}
    log.exception("a question failed", exc_info=error)
    return {"state": "error", "kind": "unexpected", "sentence": words.UNEXPECTED}


def on_gpu(function: F) -> F:
    """The function on a GPU lent for the call, inside a Space that lends them; itself anywhere else.

    There it runs in another process, forked from this one: what it takes and gives is pickled, what was made before it
    was forked is there.
    """
    if not GPU_IS_LENT:
        return function
    try:
        from spaces import GPU  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return function
    lent: F = GPU(function)
    return lent


# --- private ---------------------------------------------------------------------------------------------------------

_stops: OrderedDict[str, threading.Event] = OrderedDict()
_lock = threading.Lock()


@on_gpu
def _lent(given: Json, shelf: int, work: Work, token: str) -> Generator[Json, None, None]:
    """The one place that everything on the page goes through which touches a network."""
    told: Json = {"token": token, "state": "working", "seconds": 0}
    try:
        job = _Job(work, given, shelf_of(shelf), token)
        for passed, news in job.news():
            told |= news
            yield told | {"seconds": round(passed, 1)}
        yield {**told, "state": "done", **job.result()}
    except Exception as error:  # noqa: BLE001 - whatever it was, the visitor gets words
        yield told | failure(error)


class _Job:
    """The work in a thread of its own."""

    def __init__(self, work: Work, given: Json, shelf: Shelf, token: str) -> None:
        self._stop = _flag(token)
        self._began = time.perf_counter()
        self._awake = threading.Event()
        self._latest: deque[Json | Later] = deque(maxlen=1)
        self._result: list[Json] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work, given, shelf), daemon=True)
        self._thread.start()

    def news(self) -> Iterator[tuple[float, Json]]:
        """The seconds so far, with the latest news, at every tick until it has ended; leaving early stops the work."""
        try:
            while True:
                self._awake.wait(TICK)
                self._awake.clear()
                if not self._thread.is_alive():
                    return
                told = self._latest.pop() if self._latest else {}
                yield time.perf_counter() - self._began, told() if callable(told) else told
                self._thread.join(GAP)
        finally:
            if self._thread.is_alive():
                self._stop.set()

    def result(self) -> Json:
        """What the work returned; raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _tell(self, news: Json | Later) -> None:
        self._latest.append(news)
        self._awake.set()

    def _run(self, work: Work, given: Json, shelf: Shelf) -> None:
        try:
            self._result.append(work(given, shelf, self._stop.is_set, self._tell))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the result is fetched
            self._error = error
        finally:
            self._awake.set()


def _token(given: Json) -> str:
    token = given.get("token")
    return token if isinstance(token, str) else ""


def _flag(token: str) -> threading.Event:
    """The flag that belongs to a token; without a token, one of its own."""
    if not token:
        return threading.Event()
    with _lock:
        event = _stops.setdefault(token, threading.Event())
        _stops.move_to_end(token)
        while len(_stops) > TOKENS:
            _stops.popitem(last=False)
        return event
