"""What was meant by a name that is spelled otherwise: case, hyphens, accents, slips of the finger."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from difflib import SequenceMatcher

LIKE = 0.7
"""From this ratio of difflib on, one word is taken for a slip of another."""
LONGEST = 80
"""Letters of a name that are looked at, and shown."""


def plain(text: str) -> str:
    """The text without case, accents, and the difference between hyphens, underscores and spaces within it."""
    bare = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", text.casefold())))
    return " ".join(_JOINTS.sub(" ", bare).split())


def nearest(
    wanted: str, known: Iterable[str], *, spelled: Callable[[str], Iterable[str]] = lambda name: (name,), most: int = 3
) -> list[str]:
    """At most so many of the `known` names that may have been meant, the likeliest first; `spelled` gives all ways.

    One that is the same but for case and marks is meant alone.
    """
    words, match = _words(wanted[:LONGEST]), SequenceMatcher(autojunk=False)
    match.set_seq2("".join(words))
    likeness = {name: max((_likeness(words, way, match) for way in spelled(name)), default=0.0) for name in known}
    best = sorted((name for name, like in likeness.items() if like), key=lambda name: -likeness[name])
    return [name for name in best if likeness[name] == _SAME] or best[:most]


def either(words: Iterable[str]) -> str:
    """“a, b or c”."""
    *most, last = list(words)
    return f"{', '.join(most)} or {last}" if most else last


def did_you_mean(names: Iterable[str]) -> str:
    """The question to put after a sentence, from a space on; empty where there is nothing to propose."""
    shown = [name if len(name) <= LONGEST else f"{name[:LONGEST]}…" for name in names]
    return f" Did you mean {either(shown)}?" if shown else ""


# --- private ---------------------------------------------------------------------------------------------------------

_ACCENTS = re.compile("[\u0300-\u036f]")  # of Latin, Greek and Cyrillic; in other scripts a mark makes another letter
_JOINTS = re.compile(r"(?<=\w)[-_](?=\w)|_")
_SAME = 2.0
_SHORTEST, _HALF = 3, 0.5  # letters of a part, and the share of what was asked, that say something


def _words(text: str) -> list[str]:
    return re.sub(r"[\W_]+", " ", plain(text).replace("+", " plus ")).split()


def _likeness(wanted: list[str], way: str, match: SequenceMatcher[str]) -> float:
    """2 for the same letters; above 1 where one is part of the other, whole words first; below it by common letters."""
    words = _words(way)
    letters, asked = "".join(words), "".join(wanted)
    if not letters or not asked:
        return 0.0
    if letters == asked:
        return _SAME
    share = min(len(letters), len(asked)) / max(len(letters), len(asked))
    if set(wanted) <= set(words):
        return 1.5 + share / 3
    within = asked in letters or (share >= _HALF and letters in asked)
    if within and min(len(asked), len(letters)) >= _SHORTEST:
        return 1 + share / 3
    match.set_seq1(letters)
    like = match.ratio() if match.real_quick_ratio() >= LIKE and match.quick_ratio() >= LIKE else 0.0
    return like if like >= LIKE else 0.0
