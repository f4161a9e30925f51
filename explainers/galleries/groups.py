"""Groups among vectors: found in the vectors and not in a layout, described by pictures, labels and channels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import QuestionError
from .neighbors import prepared

By = Literal["kmeans", "agglomerative", "hdbscan"]
WAYS: tuple[By, ...] = get_args(By)

MOST_TRIED = 12
"""Numbers of groups from 2 up to this are tried where none is given."""

_SAMPLED = 2000  # a silhouette takes all pairs
_MOST_AGGLOMERATED = 20_000  # beyond, a full matrix of distances does not fit a small machine
_CHANNELS = 3
_OUTSIDE = -1


@dataclass(frozen=True, eq=False)
class Group:
    """One group: its pictures from the middle outward, its labels by share, and the channels that set it apart."""

    number: int
    size: int
    middle: tuple[int, ...]
    labels: tuple[tuple[str, float], ...]
    channels: tuple[tuple[int, float], ...]
    """(channel, by how many standard deviations its mean lies above that of all)."""


@dataclass(frozen=True, eq=False)
class Groups:
    """A division of all pictures: the group of each (N,), −1 for those in none, and how good it is."""

    of: NDArray[np.int64]
    groups: tuple[Group, ...]
    silhouette: float
    """From −1 to 1: how much nearer pictures lie to their own group than to the next; 0 where there is one only."""
    agreement: tuple[float, float] | None
    """With the labels: adjusted Rand index, normalized mutual information; None without labels."""

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        outside = float((self.of == _OUTSIDE).mean())
        said = f"{len(self.groups)} groups" if len(self.groups) != 1 else "One group"
        said += f", {100 * outside:.0f} % of the pictures in none" if outside else ""
        said += f"; silhouette {self.silhouette:.2f}."
        if self.agreement is not None:
            said += f" With the labels they agree to {self.agreement[0]:.2f} (adjusted Rand), {self.agreement[1]:.2f}"
            said += " (normalized mutual information)."
        return said


def found(
    vectors: NDArray[np.floating], labels: tuple[str, ...], by: By = "kmeans", count: int = 0, *, seed: int = 0
) -> Groups:
    """The groups of vectors (N, D), compared by direction; `count` 0 takes the number with the best silhouette.

    Raises `QuestionError` for fewer than three pictures, or where all vectors are equal.
    """
    if len(vectors) < 3:
        raise QuestionError(f"Groups take 3 pictures at least; this gallery has {len(vectors)}.")
    rows = prepared(vectors, "cosine").numpy().astype(np.float64)
    distinct = len(np.unique(np.round(rows, 6), axis=0))
    if distinct < 2:
        raise QuestionError("All vectors are equal, so there are no groups: the network makes no difference here.")
    if by == "agglomerative" and len(rows) > _MOST_AGGLOMERATED:
        raise QuestionError(f"Agglomerative takes {_MOST_AGGLOMERATED:,} pictures at most; choose kmeans or hdbscan.")
    if by == "hdbscan":
        of = _hdbscan(rows)
    elif count:
        of = _divided(rows, by, min(count, distinct), seed)
    else:
        tried = [_divided(rows, by, k, seed) for k in range(2, min(MOST_TRIED, distinct, len(rows) - 1) + 1)]
        of = max(tried, key=lambda each: _silhouette(rows, each)) if tried else np.zeros(len(rows), np.int64)
    return Groups(of, _described(rows, vectors, labels, of), _silhouette(rows, of), _agreement(of, labels))


def in_words(group: Group) -> str:
    """A group in a few words: its number, how many pictures, and what they are."""
    what = ", ".join(f"{100 * share:.0f} % {label}" for label, share in group.labels[:2])
    channels = ", ".join(str(channel) for channel, _ in group.channels)
    return f"group {group.number + 1}: {what or f'{group.size} pictures'}; channels {channels}"


# --- private ---------------------------------------------------------------------------------------------------------


def _divided(rows: NDArray[np.float64], by: By, count: int, seed: int) -> NDArray[np.int64]:
    from sklearn.cluster import AgglomerativeClustering, KMeans

    if count < 2:
        return np.zeros(len(rows), np.int64)
    if by == "agglomerative":
        made = AgglomerativeClustering(count, linkage="ward").fit(rows)
    else:
        made = KMeans(count, n_init=3, random_state=seed).fit(rows)
    return _by_size(np.asarray(made.labels_, np.int64))


def _hdbscan(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    from sklearn.cluster import HDBSCAN

    least = max(2, min(15, len(rows) // 20))
    made = HDBSCAN(min_cluster_size=least, copy=True).fit(rows)
    return _by_size(np.asarray(made.labels_, np.int64))


def _by_size(of: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups, the largest first; of two equal ones, the one with the first picture."""
    inside = of[of != _OUTSIDE]
    order = sorted(set(inside.tolist()), key=lambda group: (-int((of == group).sum()), int((of == group).argmax())))
    names = {group: number for number, group in enumerate(order)} | {_OUTSIDE: _OUTSIDE}
    return np.array([names[int(group)] for group in of], np.int64)


def _silhouette(rows: NDArray[np.float64], of: NDArray[np.int64]) -> float:
    from sklearn.metrics import silhouette_score

    inside = np.flatnonzero(of != _OUTSIDE)
    if len(inside) > _SAMPLED:
        inside = np.sort(np.random.default_rng(0).choice(inside, _SAMPLED, replace=False))
    if not 2 <= len(set(of[inside].tolist())) < len(inside):
        return 0.0
    return float(silhouette_score(rows[inside], of[inside]))


def _agreement(of: NDArray[np.int64], labels: tuple[str, ...]) -> tuple[float, float] | None:
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    if len(set(labels)) < 2:
        return None
    return float(adjusted_rand_score(labels, of)), float(normalized_mutual_info_score(labels, of))


def _described(
    rows: NDArray[np.float64], vectors: NDArray[np.floating], labels: tuple[str, ...], of: NDArray[np.int64]
) -> tuple[Group, ...]:
    numbers = np.asarray(vectors, np.float64)
    middle, spread = numbers.mean(0), np.maximum(numbers.std(0), 1e-9)
    groups = []
    for number in range(int(of.max()) + 1):
        inside = np.flatnonzero(of == number)
        far = np.square(rows[inside] - rows[inside].mean(0)).sum(1)
        apart = (numbers[inside].mean(0) - middle) / spread
        most = np.argsort(-apart, kind="stable")[:_CHANNELS]
        counted = Counter(labels[i] for i in inside if labels[i]).most_common()
        groups.append(
            Group(
                number,
                len(inside),
                tuple(int(i) for i in inside[np.argsort(far, kind="stable")]),
                tuple((label, times / len(inside)) for label, times in counted),
                tuple((int(channel), float(apart[channel])) for channel in most),
            )
        )
    return tuple(groups)
