"""Layouts in two dimensions: t-SNE, PCA and UMAP of a gallery's vectors, and where a new picture goes in one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import QuestionError, Stopped
from .neighbors import Metric, graph, nearest, prepared

Kind = Literal["tsne", "pca", "umap"]
KINDS: tuple[Kind, ...] = get_args(Kind)

PERPLEXITY = 30.0
"""How many neighbors each point attends to, softly: the usual one."""

FEWEST = 4
"""Three pictures make a triangle whatever they show."""

_EARLY, _LATE, _EVERY = 250, 500, 50  # iterations with and without exaggeration, as in the papers; a frame each 50
_EXAGGERATION = 12.0


@dataclass(frozen=True, eq=False)
class Frame:
    """A layout on its way: points (N, 2), the share of the work behind them, and how much of the vectors they miss."""

    points: NDArray[np.float32]
    done: float
    divergence: float | None = None
    """Kullback–Leibler, for t-SNE."""


def lay_out(
    vectors: NDArray[np.floating],
    kind: Kind = "tsne",
    *,
    perplexity: float = PERPLEXITY,
    seed: int = 0,
    metric: Metric = "cosine",
    start: Literal["pca", "random"] = "pca",
    stop: Callable[[], bool] | None = None,
) -> Iterator[Frame]:
    """Better and better layouts (N, 2) of vectors (N, D); the last one has done=1.

    t-SNE by openTSNE, from exact neighbors, begun at the first two principal components, so that the seed matters
    little; begun at random, it shows how much of a layout is chance. Raises `QuestionError` for fewer than four
    pictures, `Stopped` when `stop` says so.
    """
    if len(vectors) < FEWEST:
        raise QuestionError(f"A map takes {FEWEST} pictures at least; this gallery has {len(vectors)}.")
    rows = prepared(vectors, metric).numpy()
    if equal(rows):
        yield Frame(np.zeros((len(rows), 2), np.float32), 1.0)
    elif kind == "pca":
        yield Frame(components(rows)[0], 1.0)
    elif kind == "umap":
        yield Frame(_umap(rows, seed, perplexity), 1.0)
    else:
        yield from _tsne(rows, within(perplexity, len(rows)), seed, start, stop)


def within(perplexity: float, pictures: int) -> float:
    """The perplexity that so many pictures allow: three times as many neighbors as it says are looked at."""
    return float(max(1.0, min(perplexity, (pictures - 1) / 3)))


def caveats(vectors: NDArray[np.floating], kind: Kind, perplexity: float) -> tuple[str, ...]:
    """What has to be known about a layout of these vectors, each a sentence."""
    said = []
    if equal(vectors):
        said.append(
            "All vectors are equal, so the map shows nothing and keeps nothing to measure: "
            "the network makes no difference between them."
        )
    elif kind != "pca":
        if perplexity > within(perplexity, len(vectors)):
            said.append(
                f"{len(vectors)} pictures are fewer than three times the perplexity of {perplexity:g}; "
                f"{within(perplexity, len(vectors)):.3g} was taken instead."
            )
        said.append("How far apart islands lie and how large they are means nothing here; who is beside whom does.")
    return tuple(said)


def position(
    vectors: NDArray[np.floating],
    points: NDArray[np.floating],
    new: NDArray[np.floating],
    kind: Kind = "tsne",
    *,
    perplexity: float = PERPLEXITY,
    metric: Metric = "cosine",
) -> NDArray[np.float32]:
    """Where a new vector (D,) goes in an existing layout (N, 2) of vectors (N, D), which stays as it is.

    By t-SNE: where its own affinities are kept best, from the middle of its nearest, exactly and by Newton-safe steps;
    that is the question `openTSNE.TSNEEmbedding.transform` puts. By PCA: its projection. By UMAP: the middle of its
    nearest, weighed by how near they are, from which UMAP's own transform starts.
    """
    if equal(vectors):
        return np.asarray(points.mean(0), np.float32)
    if kind == "pca":
        _, axes, middle = components(prepared(vectors, metric).numpy())
        one = prepared(new[None], metric)[0] if metric == "cosine" else _centered(vectors, new)
        return ((one.numpy() - middle) @ axes).astype(np.float32)
    count = min(len(vectors), 3 * max(1, round(within(perplexity, len(vectors)))))
    found, far = nearest(vectors, new, count, metric)
    squared = 2 * far if metric == "cosine" else np.square(far)
    weights = affinities(squared, min(perplexity, count / 3))
    start = np.average(points[found], axis=0, weights=weights)
    if kind == "umap":
        return np.asarray(start, np.float32)
    return settle(points, found, weights, _median(points[found], weights, start))


def affinities(squared: NDArray[np.floating], perplexity: float) -> NDArray[np.float64]:
    """How much a point attends to others at these squared distances: sums to 1, with 2^entropy = `perplexity`."""
    squared = np.asarray(squared, np.float64)
    if not 1 <= perplexity <= len(squared):
        raise QuestionError(f"The perplexity of {len(squared)} neighbors is 1 to {len(squared)}, not {perplexity:g}.")
    squared = squared - squared.min()
    spread = float(squared.mean())
    if spread <= 0 or perplexity >= len(squared):
        return np.full(len(squared), 1 / len(squared))
    low, high = 0.0, np.inf
    beta = 1 / spread
    for _ in range(200):
        weights = np.exp(-beta * squared)
        weights /= weights.sum()
        entropy = -np.sum(weights * np.log2(np.maximum(weights, 1e-300)))
        if abs(2**entropy - perplexity) <= 1e-6 * perplexity:
            break
        low, high = (beta, high) if 2**entropy > perplexity else (low, beta)
        beta = 2 * beta if np.isinf(high) else (low + high) / 2
    return np.asarray(weights)


def misfit(
    points: NDArray[np.floating], found: NDArray[np.int64], weights: NDArray[np.floating], at: NDArray[np.floating]
) -> tuple[float, NDArray[np.float64]]:
    """How badly a position (2,) keeps affinities `weights` to the points `found`: KL(p‖q), and its gradient (2,).

    q is the share of 1/(1 + d²) among all points (van der Maaten & Hinton, JMLR 2008, for one moving point).
    """
    apart = at - points  # (N, 2)
    kernel = 1 / (1 + np.square(apart).sum(1))  # (N,)
    q = kernel / kernel.sum()
    seen, p = found[weights > 0], weights[weights > 0]
    divergence = float(np.sum(p * np.log(p / q[seen])))
    return divergence, 2 * ((p * kernel[seen]) @ apart[seen] - (q * kernel) @ apart)


def settle(
    points: NDArray[np.floating], found: NDArray[np.int64], weights: NDArray[np.floating], start: NDArray[np.floating]
) -> NDArray[np.float32]:
    """The position (2,) that keeps the affinities best, downhill from `start`; never worse than where it began."""
    points, here = np.asarray(points, np.float64), np.asarray(start, np.float64)
    size = float(np.sqrt(np.square(points - points.mean(0)).sum(1).mean()))
    step, (best, slope) = 0.02 * size, misfit(points, found, weights, here)
    for _ in range(100):
        length = float(np.linalg.norm(slope))
        if length < 1e-9 or step < 1e-5 * size:
            break
        there = here - step * slope / length
        value, next_slope = misfit(points, found, weights, there)
        if value < best:
            here, best, slope, step = there, value, next_slope, step * 1.2
        else:
            step /= 2
    return here.astype(np.float32)


def components(rows: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """The first two principal components: coordinates (N, 2), axes (D, 2), and the middle (D,).

    The sign of an axis is such that its largest entry is positive.
    """
    rows64 = np.asarray(rows, np.float64)
    middle = rows64.mean(0)
    centered = rows64 - middle
    _, axes = np.linalg.eigh(centered.T @ centered)
    chosen = axes[:, ::-1][:, :2]
    if chosen.shape[1] < 2:  # vectors of one number
        chosen = np.concatenate([chosen, np.zeros((len(chosen), 1))], axis=1)
    chosen = chosen * np.where(chosen[np.abs(chosen).argmax(0), [0, 1]] < 0, -1, 1)
    return (centered @ chosen).astype(np.float32), chosen, middle


def equal(vectors: NDArray[np.floating]) -> bool:
    """Whether all vectors (N, D) are one; where a few differ already, the rest is not looked at."""
    for part in (vectors[:200], vectors):
        rows = np.asarray(part, np.float32)
        if np.ptp(rows, axis=0).max() > 1e-6 * max(float(np.abs(rows).max()), 1e-12):
            return False
    return True


# --- private ---------------------------------------------------------------------------------------------------------


def _tsne(
    rows: NDArray[np.floating], perplexity: float, seed: int, start: str, stop: Callable[[], bool] | None
) -> Iterator[Frame]:
    import openTSNE
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    count = min(len(rows) - 1, int(3 * perplexity))
    found, far = graph(rows, count, "euclidean", stop=stop)
    threads = torch.get_num_threads()
    known = openTSNE.affinity.PerplexityBasedNN(
        perplexity=perplexity, knn_index=PrecomputedNeighbors(found, far.astype(np.float64)), n_jobs=threads
    )
    begun = np.random.default_rng(seed).normal(size=(len(rows), 2)) if start == "random" else components(rows)[0]
    begun = openTSNE.initialization.rescale(begun.astype(np.float64))
    layout = openTSNE.TSNEEmbedding(
        begun, known, negative_gradient_method="bh" if len(rows) < 10_000 else "fft", n_jobs=threads, random_state=seed
    )
    for passed in range(0, _EARLY + _LATE, _EVERY):
        if stop is not None and stop():
            raise Stopped("Stopped, as asked.")
        early = passed < _EARLY
        layout.optimize(
            _EVERY, inplace=True, exaggeration=_EXAGGERATION if early else 1.0, momentum=0.5 if early else 0.8
        )
        misses = None if early else layout.kl_divergence
        yield Frame(np.asarray(layout, np.float32), (passed + _EVERY) / (_EARLY + _LATE), misses)


def _umap(rows: NDArray[np.floating], seed: int, neighbors: float) -> NDArray[np.float32]:
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells at import and when run what it does without
        import umap

        count = int(min(max(2, round(neighbors / 2)), len(rows) - 1))
        made: Any = umap.UMAP(n_neighbors=count, init="pca", random_state=seed, n_jobs=1, metric="euclidean")
        try:
            return np.asarray(made.fit_transform(rows), np.float32)
        finally:
            torch.set_num_threads(threads)  # numba, which it runs on, sets as many as there are cores, also for torch


def _centered(vectors: NDArray[np.floating], new: NDArray[np.floating]) -> torch.Tensor:
    return torch.from_numpy(np.asarray(new, np.float32) - np.asarray(vectors, np.float32).mean(0))


def _median(near: NDArray[np.floating], weights: NDArray[np.floating], middle: NDArray[np.floating]) -> NDArray[Any]:
    """Of the nearest points the one that lies most among them; the mean of two islands is in neither."""
    far = np.linalg.norm(near[:, None] - near[None], axis=2) @ weights
    return near[int(far.argmin())] if len(near) else middle
