"""What the classes are called: labels from whatever somebody keeps them in, and a class from whatever names it."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Iterable, KeysView, Mapping, Sequence, Set
from enum import Enum, EnumType
from itertools import islice
from typing import Any

from ..errors import ModelError, QuestionError
from ..errors.spelling import did_you_mean, nearest, plain

Labels = Mapping[Any, Any] | Iterable[Any]
"""Whatever `read` takes; an enumeration is iterable, too."""

FROM_ONE = "The labels are counted from 1 on where they come from; here the first class is number 0."


def numbers(count: int) -> tuple[str, ...]:
    """Labels for classes that nobody named: class 0, class 1 and so on."""
    return tuple(f"class {index}" for index in range(count))


def read(given: object, count: int, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels of the `count` outputs of the network `name`, in their order, and what has to be said of them.

    A list, tuple, array, series, file or anything else in order; a mapping from number (or number as text) to label,
    or from label to number, counted from 0 or from 1; an enumeration. Nothing in it, and there are no classes: the
    outputs are an embedding. Two labels that are alike are told apart by their numbers. Raises `ModelError` in words
    for what has no order, for another number of labels, and for what is no label.
    """
    notes: tuple[str, ...] = ()
    if isinstance(given, EnumType):
        members: list[Enum] = list(given)
        by_value = all(isinstance(member.value, int) for member in members)
        given = {member.name: member.value for member in members} if by_value else members
    if isinstance(given, Mapping) or _is_series(given):
        found, notes = _by_number(given, count, name)
    else:
        found = _in_order(given, count, name)
    if found and len(found) != count:
        raise ModelError(f"{name} has {count} outputs, but {len(found)} labels were given.")
    return told_apart([_text(label, place) for place, label in enumerate(found)], range(len(found))), notes


def told_apart(labels: Sequence[str], marks: Sequence[object]) -> tuple[str, ...]:
    """The labels, each with its mark in brackets where two classes share one name (ImageNet has two cranes)."""
    told = tuple(labels)
    while len(times := Counter(told)) < len(told):
        told = tuple(f"{t} ({mark})" if times[t] > 1 else t for t, mark in zip(told, marks, strict=True))
    return told


def find(asked: object, labels: Sequence[str], name: str) -> int:
    """The number of the class that somebody asks about, by label, part of a label, or number.

    A text that is a label is that, even where it is a number, too; a text that is a number and no label is the number.
    Raises `QuestionError` in words.
    """
    if not isinstance(asked, str):
        return _within(_number(asked), labels, name)
    if asked in labels:
        return labels.index(asked)
    wanted = plain(asked)
    near = [i for i, known in enumerate(labels) if wanted in map(plain, _ways(known))]
    if len(near) == 1:
        return near[0]
    if near and all(labels[i] == f"{asked} ({i})" for i in near):
        numbered = " and ".join(map(str, near))
        raise QuestionError(f"{name} has several classes “{asked[:80]}”: {numbered}. Give the number.")
    if not near and (number := _spelled(asked)) is not None:
        return _within(number, labels, name)
    close = [labels[i] for i in near[:3]] or nearest(asked, labels, spelled=_ways)
    meant = did_you_mean(f"“{label}”" for label in close)
    raise QuestionError(f"{name} has no single class “{asked[:80]}”.{meant} Search the class list, or give its number.")


# --- private ---------------------------------------------------------------------------------------------------------

_WAY_OUT = "give a list of as many as it has outputs, in their order, or a mapping from number to label"
_LONGEST_NUMBER = 18  # digits; no network has more classes


def _is_series(given: object) -> bool:
    """Whether it is ordered by keys of its own, as a series of pandas is, without being a mapping to Python."""
    return hasattr(given, "index") and hasattr(given, "to_dict") and getattr(given, "ndim", 0) == 1


def _by_number(given: Any, count: int, name: str) -> tuple[list[object], tuple[str, ...]]:
    """Labels from pairs, of which one side counts from 0 or from 1 on, and whether they count from 1."""
    pairs = [(_bare(key), _bare(value)) for key, value in given.items()]
    keys, values = ([_whole(pair[side]) for pair in pairs] for side in (0, 1))
    # {"10": 2} comes of folders named by numbers; {2: 10} and {"2": "cat"} are the labels of what counts in order.
    inverted = all(isinstance(key, str) for key, _ in pairs) and all(_is_int(value) for _, value in pairs)
    sides = ((values, 0), (keys, 1)) if inverted else ((keys, 1), (values, 0))
    for places, side in sides:
        if None in places:
            continue
        for first in (0, 1):
            if sorted(places) == list(range(first, first + len(pairs))):  # type: ignore[type-var]
                by_place = dict(zip(places, (pair[side] for pair in pairs), strict=True))
                return [by_place[place] for place in sorted(by_place)], (FROM_ONE,) * first  # type: ignore[type-var]
    known = [place for place in sides[0][0] if place is not None]
    if not known:
        raise ModelError(f"The labels of {name} are named by no number, so their order is not known; {_WAY_OUT}.")
    missing = next((i for i in range(count) if i not in known), None)
    what = "more than once or beyond its outputs" if missing is None else f"not for class {missing}"
    raise ModelError(f"{name} has {count} outputs, and labels are given {what}; {_WAY_OUT}.")


def _in_order(given: Any, count: int, name: str) -> list[object]:
    if isinstance(given, Set) and not isinstance(given, KeysView):
        raise ModelError(f"A set has no order, so nothing says which label of {name} is which; {_WAY_OUT}.")
    axes = getattr(given, "ndim", 1)
    for listing in ("tolist", "to_list", "to_pylist"):  # of NumPy, torch and pandas; of polars; of Arrow
        if callable(getattr(given, listing, None)):
            given = getattr(given, listing)()
            break
    if axes != 1 or isinstance(given, str | bytes | bytearray) or not isinstance(given, Iterable):
        what = "one text" if isinstance(given, str | bytes) else f"given as {type(given).__name__}"
        raise ModelError(f"The labels of {name} are {what}; {_WAY_OUT}.")
    sized = hasattr(given, "__len__")
    found = [_bare(label) for label in (given if sized else islice(given, count + 1))]  # which may never end
    if not sized and len(found) in (0, count + 1):
        raise ModelError(f"{name} has {count} outputs, but {'more' if found else 'no'} labels were given.")
    return found


def _bare(value: Any) -> object:
    """A number or text of NumPy or torch as Python's own; a member of an enumeration as its text."""
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name
    if getattr(value, "ndim", None) == 0 and callable(getattr(value, "item", None)):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def _text(label: object, place: int) -> str:
    if isinstance(label, str) and label.strip():
        return label.strip("\r\n")
    if isinstance(label, int | float) and not (isinstance(label, float) and math.isnan(label)):
        return str(label)
    what = "is empty" if label is None or isinstance(label, str | float) else f"is {type(label).__name__}"
    raise ModelError(f"The label of class {place} {what}; a label is a text or a number.")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(value: object) -> int | None:
    """The whole number that something is, or spells; None where it does not."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value) if isinstance(value, int) else _spelled(value) if isinstance(value, str) else None


def _spelled(text: str) -> int | None:
    """The whole number that a text spells; of one with more digits than any class has, so many."""
    digits = text.strip().removeprefix("-")
    sign = -1 if text.strip() != digits else 1
    return sign * int(digits[:_LONGEST_NUMBER]) if digits.isdecimal() else None


def _number(asked: Any) -> int:
    try:
        if "bool" not in str(getattr(asked, "dtype", type(asked))):
            return operator.index(asked)
    except (TypeError, ValueError):
        pass
    raise QuestionError(f"A class is a label or a number, not {type(asked).__name__}.")


def _within(number: int, labels: Sequence[str], name: str) -> int:
    if not 0 <= number < len(labels):
        shown = number if abs(number) < 10 ** (_LONGEST_NUMBER - 1) else "that"
        raise QuestionError(f"{name} has classes 0 to {len(labels) - 1}; {shown} is not one of them.")
    return number


def _ways(label: str) -> tuple[str, ...]:
    """How a label may be named: whole, by one of its synonyms, or without what stands in brackets after it."""
    head, bracket, _ = label.rpartition(" (")
    bare = (head,) if bracket and label.endswith(")") else ()
    return (label, *label.split(","), *bare)
