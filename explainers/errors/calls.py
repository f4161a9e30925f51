"""What the verbs are called with: each argument's kind, checked once, and said in a sentence where it is another."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import ModelError, QuestionError, SightglassError

ASKS = "ex.look(model, picture) makes one"
A_CLASSIFIER = "ex.load(name) or ex.wrap(module) makes one"


def kind(value: object) -> str:
    """What a value is, for a sentence: “a text”, “a list”, “nothing”, “the class Net”, or the name of its type."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return {"NoneType": "nothing", "str": "a text"}.get(type(value).__name__, f"a value of type {type(value).__name__}")


def expect(
    value: object,
    kinds: type | tuple[type, ...],
    what: str,
    way_out: str,
    error: type[SightglassError] = QuestionError,
) -> None:
    """Raise unless the value is of one of these kinds: what was expected, what came, and the way out."""
    if not isinstance(value, kinds):
        raise error(f"{what}, not {kind(value)}; {way_out}.")


def network(given: object) -> None:
    """Raise `ModelError`, with the way in, for what is no network and is often taken for one."""
    if isinstance(given, nn.Module):
        return
    if isinstance(given, type):
        way_out = f"build it first: ex.wrap({given.__name__}(…).eval())"
    elif isinstance(given, Mapping):
        way_out = "those may be weights; build their network, call load_state_dict on it, and wrap that"
    elif isinstance(given, str | os.PathLike):
        way_out = "ex.load opens a network by name"
    elif callable(given):
        way_out = "call it in the forward of a module, and wrap that"
    else:
        way_out = "give the network itself"
    raise ModelError(f"ex.wrap takes a torch.nn.Module, not {kind(given)}; {way_out}.")


def switch(name: str, value: object) -> None:
    """Raise `QuestionError` unless the value is true or false."""
    if not isinstance(value, bool):
        raise QuestionError(f"`{name}` is True or False, not {kind(value)}.")


def stopping(stop: object) -> None:
    """Raise `QuestionError` unless `stop` can be asked whether to stop, or there is none."""
    if stop is not None and not callable(stop):
        raise QuestionError(f"`stop` is a function that says whether to stop, not {kind(stop)}.")


def number(name: str, value: Any, low: float, high: float = math.inf) -> None:
    """Raise `QuestionError` unless the value is a finite number within these bounds."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not real or not low <= float(value) <= high or math.isinf(value):
        bounds = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
        raise QuestionError(f"`{name}` is a number {bounds}, not {value if real else kind(value)}.")


def count(name: str, value: Any) -> int:
    """The whole number from 1 on that the value is. Raises `QuestionError`."""
    if not isinstance(value, bool) and hasattr(value, "__index__") and (whole := operator.index(value)) >= 1:
        return whole
    shown = value if isinstance(value, int | float) else kind(value)
    raise QuestionError(f"`{name}` is a whole number from 1 on, not {shown}.")


def device(asked: Any) -> torch.device:
    """The device that is asked for; where none is, a GPU if there is one. Raises `ModelError` where it is not there."""
    if asked is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shown = f"“{str(asked)[:40]}”"
    try:
        found = torch.device(asked)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"{shown} is no device; torch's are cpu, cuda, cuda:1, mps and so on.") from error
    try:
        torch.zeros(1, device=found).tolist()  # a device without numbers is of no use either
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"The device {shown} is not there, or torch cannot use it; leave `device` out for what is."
        ) from error
    return found


def written(path: object, write: Callable[[Path], object], endings: tuple[str, ...]) -> None:
    """Write to a path with one of these endings. Raises `QuestionError` in words where that cannot be."""
    expect(path, (str, os.PathLike), "An explanation is saved under a path", "give one, such as why.png")
    place = Path(path)  # type: ignore[arg-type]
    if place.suffix.lower() not in endings:
        *most, last = endings
        raise QuestionError(f"An explanation is saved as {', '.join(most)} or {last}, not as “{place.suffix}”.")
    try:
        write(place)
    except (OSError, ValueError) as error:  # a null byte is a ValueError
        if isinstance(error, SightglassError):
            raise
        why = getattr(error, "strerror", None) or str(error)
        raise QuestionError(f"“{place.name[:80]}” cannot be written: {why}.") from error
