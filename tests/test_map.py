"""Neighbors, maps and groups: identities, brute force, and what scikit-learn says (T50–T52)."""

import sys
import types
from collections import deque

import numpy as np
import pytest
import torch
from tolerance import close, operations, rounding

import explainers as ex
from explainers import registry
from explainers.errors import QuestionError, Stopped
from explainers.galleries.among import likeness, others
from explainers.galleries.gallery import Gallery
from explainers.galleries.groups import found
from explainers.galleries.laid_out import measured, too_good
from explainers.galleries.layout import (
    Frame,
    affinities,
    caveats,
    components,
    lay_out,
    misfit,
    position,
    settle,
    within,
)
from explainers.galleries.neighbors import distances, graph, nearest, vote
from explainers.galleries.trustworthiness import accuracy, agreement, aligned, preserved
from explainers.worlds.digits.reader import build

DRAW = np.random.default_rng(0)
SHARE = rounding(10_000, 1, torch.float64)  # a share is made of no more numbers than there are pairs of 100 pictures
HALF = rounding(1, 1, torch.float16)


def islands(count=3, each=30, width=8, apart=6.0):
    """Balls of points, each around a place of its own, and which ball each belongs to."""
    draw = np.random.default_rng(1)
    middles = draw.normal(size=(count, width)) * apart
    of = np.repeat(np.arange(count), each)
    return (middles[of] + draw.normal(size=(count * each, width))).astype(np.float32), of


def last(frames):
    return deque(frames, maxlen=1)[0]


# T52: neighbors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_nearest_is_brute_force(metric, dtype):
    vectors = (DRAW.normal(size=(20_000, 24)) + 3).astype(dtype)
    for row in (0, 77, 19_999):
        query = (vectors[row] + DRAW.normal(size=24)).astype(dtype)
        a, b = vectors.astype(np.float64), query.astype(np.float64)
        if metric == "cosine":
            far = 1 - a @ b / np.linalg.norm(a, axis=1) / np.linalg.norm(b)
        else:
            far = np.linalg.norm(a - b, axis=1)
        numbers, apart = nearest(vectors, query, 50, metric)
        assert np.array_equal(numbers, np.argsort(far, kind="stable")[:50])
        assert close(apart, far[numbers], rounding(100, far, torch.float64))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_stored_query_returns_itself_at_distance_zero(metric):
    vectors = DRAW.normal(size=(500, 33)).astype(np.float16)
    for row in range(0, 500, 50):
        numbers, apart = nearest(vectors, vectors[row], 1, metric)
        assert numbers[0] == row
        assert apart[0] == 0


def test_of_equal_ones_the_first_comes_first_however_many_there_are():
    vectors = np.tile(DRAW.normal(size=(1, 8)), (300, 1)).astype(np.float32)
    numbers, apart = nearest(vectors, vectors[0], 5)
    assert numbers.tolist() == [0, 1, 2, 3, 4]
    assert not apart.any()


def test_cosine_orders_unit_vectors_as_euclidean_does():
    vectors = DRAW.normal(size=(2000, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = vectors[3] + 0.1 * DRAW.normal(size=16)
    query /= np.linalg.norm(query)
    by_cosine, far = nearest(vectors, query, 40, "cosine")
    by_euclid, farther = nearest(vectors, query, 40, "euclidean")
    assert np.array_equal(by_cosine, by_euclid)
    assert np.allclose(2 * far, farther**2)


def test_a_vector_of_zeros_is_a_neighbor_like_any_other():
    vectors = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
    assert np.isfinite(nearest(vectors, np.float32([0, 0]), 3)[1]).all()
    assert np.isfinite(distances(vectors, np.float32([1, 1]))).all()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_graph_holds_the_nearest_others_of_each(metric):
    vectors = DRAW.normal(size=(300, 12)).astype(np.float32)
    numbers, _ = graph(vectors, 5, metric)
    for row in range(0, 300, 30):
        expected, _ = nearest(vectors, vectors[row], 6, metric)
        assert np.array_equal(numbers[row], expected[1:])
    some, _ = graph(vectors, 5, metric, rows=np.array([7, 9]))
    assert np.array_equal(some, numbers[[7, 9]])
    with pytest.raises(QuestionError, match="1 to 299 others, not 300"):
        graph(vectors, 300)


def test_labels_vote_and_the_nearer_wins_a_tie():
    assert vote(["b", "a", "a", "b"]) == [("b", 0.5), ("a", 0.5)]
    assert vote(["a", "", "", "b", "b"]) == [("b", 0.4), ("a", 0.2)]
    assert vote([]) == []


# T51: what a map keeps -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 5, 20])
def test_trustworthiness_and_continuity_are_scikit_learns(count):
    from sklearn.manifold import trustworthiness

    vectors, points = DRAW.normal(size=(150, 9)), DRAW.normal(size=(150, 2))
    ours = preserved(vectors, points, count, "euclidean")
    assert ours.trustworthiness == pytest.approx(trustworthiness(vectors, points, n_neighbors=count), abs=SHARE)
    assert ours.continuity == pytest.approx(trustworthiness(points, vectors, n_neighbors=count), abs=SHARE)


def test_a_turned_mirrored_and_stretched_copy_keeps_all():
    points = DRAW.normal(size=(100, 2))
    turn = np.array([[0.6, -0.8], [-0.8, -0.6]])
    ours = preserved(points, points @ turn * 3 + 5, 10, "euclidean")
    assert (ours.trustworthiness, ours.continuity, ours.recall) == (1, 1, 1)
    assert ours.points.tolist() == [1] * 100


def test_a_map_by_chance_keeps_about_half():
    ours = preserved(DRAW.normal(size=(800, 10)), DRAW.normal(size=(800, 2)), 10, "euclidean")
    assert ours.trustworthiness == pytest.approx(0.5, abs=0.02)
    assert ours.continuity == pytest.approx(0.5, abs=0.02)
    assert ours.recall == pytest.approx(10 / 799, abs=0.01)


def test_the_order_of_the_pictures_does_not_matter():
    vectors, points, order = DRAW.normal(size=(120, 6)), DRAW.normal(size=(120, 2)), DRAW.permutation(120)
    one = preserved(vectors, points, 7)
    other = preserved(vectors[order], points[order], 7)
    assert other.trustworthiness == pytest.approx(one.trustworthiness, abs=SHARE)
    assert np.array_equal(other.points, one.points[order])


@pytest.mark.parametrize("count", [0, 10, 15])
def test_half_the_pictures_or_more_cannot_be_neighbors(count):
    with pytest.raises(QuestionError, match="Among 20 pictures, 1 to 9 neighbors"):
        preserved(np.zeros((20, 3)), np.zeros((20, 2)), count)


def test_of_a_large_gallery_some_are_measured_against_all():
    vectors = DRAW.normal(size=(5000, 5))
    ours = preserved(vectors, vectors[:, :2], 10, "euclidean")
    assert np.isfinite(ours.points).sum() == 2000
    assert 0.5 < ours.trustworthiness < 1


def test_accuracy_is_leave_one_out():
    vectors, of = islands()
    labels = tuple("abc"[i] for i in of)
    assert accuracy(vectors, labels) == 1
    odd = ("c", *labels[1:])  # one that lies among others is the only one that is wrong
    assert accuracy(vectors, odd, 5) == pytest.approx(1 - 1 / 90)


def test_maps_are_turned_onto_each_other_as_a_whole():
    points = DRAW.normal(size=(50, 2))
    turn = np.array([[0.6, 0.8], [0.8, -0.6]])
    assert close(aligned(points @ turn * 0.2 - 4, points), points, rounding(100, points))
    other = DRAW.normal(size=(50, 2))
    moved = aligned(other, points)
    beside = aligned(np.vstack([points @ turn * 0.2 - 4, points[:1] @ turn * 0.2 - 4]), points)
    assert close(beside[-1], points[0], rounding(100, points))  # what is beyond moves along
    ratio = np.linalg.norm(moved[1:] - moved[:-1], axis=1) / np.linalg.norm(other[1:] - other[:-1], axis=1)
    assert np.allclose(ratio, ratio[0], rtol=rounding(100))


def test_agreement_of_two_maps():
    points = DRAW.normal(size=(100, 2))
    assert agreement(points, points * 2) == 1
    assert agreement(points, DRAW.normal(size=(100, 2))) == pytest.approx(0.1, abs=0.05)


# T50: t-SNE ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("perplexity", [1.5, 5, 30, 90])
def test_affinities_have_the_perplexity_that_was_asked_for(perplexity):
    squared = DRAW.uniform(0.1, 50, 100)
    p = affinities(squared, perplexity)
    assert (p >= 0).all()
    assert p.sum() == pytest.approx(1, abs=SHARE)
    assert 2 ** -(p * np.log2(p, where=p > 0, out=np.zeros_like(p))).sum() == pytest.approx(perplexity, rel=1e-3)
    assert np.array_equal(np.argsort(-p, kind="stable")[:10], np.argsort(squared, kind="stable")[:10])


def test_affinities_of_equal_distances_are_equal_and_strange_perplexities_refused():
    assert np.allclose(affinities(np.full(8, 3.0), 4), 1 / 8)
    with pytest.raises(QuestionError, match="is 1 to 8, not 9"):
        affinities(np.ones(8), 9)


def known(vectors, perplexity):
    """The affinities P (N, N) as openTSNE has them when it makes our map."""
    import openTSNE
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    numbers, far = graph(vectors, int(3 * perplexity), "euclidean")
    made = openTSNE.affinity.PerplexityBasedNN(
        perplexity=perplexity, knn_index=PrecomputedNeighbors(numbers, far.astype(float)), n_jobs=1
    )
    return made.P.toarray()


def divergence(p, points):
    """KL(P‖Q) over all pairs, and Q, by the formula."""
    squared = np.square(points[:, None] - points[None]).sum(2)
    kernel = 1 / (1 + squared)
    np.fill_diagonal(kernel, 0)
    q = kernel / kernel.sum()
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / q[seen])).sum()), q, kernel


def test_p_and_q_are_symmetric_shares_of_all_pairs():
    vectors, _ = islands()
    p = known(vectors, 10)
    value, q, _ = divergence(p, DRAW.normal(size=(90, 2)))
    for share in (p, q):
        assert close(share, share.T, rounding(4, share, torch.float64))
        assert (share >= 0).all()
        assert share.sum() == pytest.approx(1, abs=SHARE)
    assert value >= 0


def test_the_gradient_of_the_divergence_is_its_slope():
    vectors, _ = islands(2, 20)
    p, points = known(vectors, 5), DRAW.normal(size=(40, 2))
    _, q, kernel = divergence(p, points)
    apart = points[:, None] - points[None]
    gradient = 4 * (((p - q) * kernel)[:, :, None] * apart).sum(1)
    for row, axis in ((0, 0), (7, 1), (39, 0)):
        step = np.zeros_like(points)
        step[row, axis] = 1e-6
        slope = (divergence(p, points + step)[0] - divergence(p, points - step)[0]) / 2e-6
        # A step of 1e-6 leaves its square of the third derivative, and divides what rounding the two sums came to.
        assert gradient[row, axis] == pytest.approx(slope, abs=1e-12 + rounding(40 * 40, 10, torch.float64) / 1e-6)


def test_the_pull_on_a_placed_picture_is_the_slope_of_its_misfit():
    points, numbers = DRAW.normal(size=(30, 2)) * 4, np.arange(5)
    weights, here = affinities(np.arange(5.0), 3), np.array([0.3, -0.7])
    value, slope = misfit(points, numbers, weights, here)
    assert value >= 0
    for axis in (0, 1):
        step = np.eye(2)[axis] * 1e-6
        ahead, behind = (misfit(points, numbers, weights, here + sign * step)[0] for sign in (1, -1))
        assert slope[axis] == pytest.approx(
            (ahead - behind) / 2e-6, abs=1e-12 + rounding(100, ahead, torch.float64) / 1e-6
        )
    settled = settle(points, numbers, weights, here)
    assert misfit(points, numbers, weights, settled)[0] < value


def test_the_divergence_falls_and_is_what_the_formula_says():
    vectors, _ = islands()
    frames = list(lay_out(vectors, perplexity=10, metric="euclidean"))
    assert [frame.done for frame in frames] == sorted(frame.done for frame in frames)
    p = known(vectors - vectors.mean(0), 10)
    start, end = divergence(p, frames[0].points)[0], divergence(p, frames[-1].points)[0]
    assert 0 <= end <= start
    assert frames[-1].divergence == pytest.approx(end, rel=0.01)


def test_two_islands_come_apart():
    vectors, of = islands(2, 40)
    points = last(lay_out(vectors)).points
    gap = points[of == 0].mean(0) - points[of == 1].mean(0)
    along = points @ gap
    assert along[of == 0].min() > along[of == 1].max()


def test_the_same_seed_gives_the_same_map():
    vectors, _ = islands()
    one, two = (last(lay_out(vectors, seed=3)).points for _ in range(2))
    assert np.array_equal(one, two)


def test_the_divergence_is_no_worse_than_scikit_learns():
    from sklearn.datasets import load_digits
    from sklearn.manifold import TSNE

    vectors = load_digits().data[:400].astype(np.float64)
    theirs = TSNE(perplexity=30, init="pca", random_state=0).fit(vectors)
    ours = last(lay_out(vectors, perplexity=30, metric="euclidean")).points
    p = known((vectors - vectors.mean(0)).astype(np.float32), 30)
    assert divergence(p, ours)[0] <= 1.1 * divergence(p, theirs.embedding_)[0]


def test_making_a_map_can_be_stopped():
    vectors, _ = islands()
    frames = lay_out(vectors, stop=lambda: True)
    with pytest.raises(Stopped):
        next(frames)


# Placing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tsne", "pca", "umap"])
def test_a_new_picture_is_placed_beside_its_own_kind_and_nothing_moves(kind):
    vectors, of = islands()
    rest = np.arange(90) != 40
    frame = last(lay_out(vectors[rest], "pca" if kind == "umap" else kind))  # UMAP places in any map of neighbors
    before = frame.points.copy()
    here = position(vectors[rest], frame.points, vectors[40], kind)
    assert np.array_equal(frame.points, before)
    near = np.linalg.norm(frame.points - here, axis=1).argsort()[:10]
    assert (of[rest][near] == of[40]).all()


def test_placing_asks_what_opentsne_asks_and_finds_no_worse_a_place():
    import openTSNE

    vectors, _ = islands(4, 50, apart=2.0)
    rest = np.arange(200) != 120
    made = openTSNE.TSNE(perplexity=30, initialization="pca", random_state=0, neighbors="exact").fit(vectors[rest])
    theirs = np.asarray(made.transform(vectors[120:121], perplexity=30))[0]
    numbers, far = nearest(vectors[rest], vectors[120], 90, "euclidean")
    weights = affinities(far**2, 30)
    points = np.asarray(made)
    ours = position(vectors[rest], points, vectors[120], perplexity=30, metric="euclidean")
    assert misfit(points, numbers, weights, ours)[0] <= misfit(points, numbers, weights, theirs)[0] + 1e-3


def test_pca_is_the_plain_projection():
    vectors, _ = islands()
    points, axes, middle = components(vectors)
    assert close(axes.T @ axes, np.eye(2), SHARE)
    assert close(points, (vectors - middle) @ axes, rounding(vectors.shape[1], vectors))
    left, values, _ = np.linalg.svd(vectors.astype(np.float64) - vectors.mean(0), full_matrices=False)
    assert close(np.abs(points), np.abs(left[:, :2] * values[:2]), rounding(len(vectors), points))
    here = position(vectors, points, vectors[5], "pca", metric="euclidean")
    assert close(here, points[5], rounding(len(vectors), points))


# What has to be said -------------------------------------------------------------------------------------------------


def test_few_pictures_get_a_lower_perplexity_and_a_sentence():
    assert within(30, 31) == 10
    assert within(5, 1000) == 5
    vectors, _ = islands(1, 20)
    assert "20 pictures are fewer than three times the perplexity of 30; 6.33 was taken" in " ".join(
        caveats(vectors, "tsne", 30)
    )
    assert "means nothing here" in " ".join(caveats(vectors, "tsne", 5))
    assert caveats(vectors, "pca", 5) == ()
    with pytest.raises(QuestionError, match="A map takes 4 pictures"):
        list(lay_out(vectors[:3]))


def test_a_map_that_is_better_than_its_vectors_gets_a_warning():
    vectors, points = DRAW.normal(size=(60, 5)), np.repeat([[0.0, 0.0], [9.0, 9.0]], 30, axis=0)
    points = points + DRAW.normal(size=points.shape)
    figures = measured(vectors, points, ("a",) * 30 + ("b",) * 30).figures
    assert "shows more order than there is" in too_good(figures)
    labels = tuple("abc"[i] for i in islands()[1])
    assert too_good(measured(islands()[0], components(islands()[0])[0], labels).figures) == ""


# Groups --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["kmeans", "agglomerative", "hdbscan"])
def test_groups_are_the_islands(by):
    vectors, of = islands(4, 40)
    vectors[:, 2] += np.where(of == 1, 30, 0)
    groups = found(vectors, tuple("abcd"[i] for i in of), by)
    assert len(groups.groups) == 4
    # Middles lie 6√16 = 24 apart, points of one island √16 = 4: 1 − 4/24 = .83; .6 where two middles lie 10 apart.
    assert groups.silhouette > 0.6
    assert groups.agreement[0] > 0.9
    of_b = next(group for group in groups.groups if group.labels[0][0] == "b")
    assert of_b.labels[0][1] > 0.95
    assert of_b.channels[0][0] == 2  # what was added to these alone
    middle = of_b.middle[0]
    assert of[middle] == 1
    assert sorted(i for group in groups.groups for i in group.middle) == sorted(np.flatnonzero(groups.of >= 0))


def test_as_many_groups_as_asked_for_the_largest_first():
    vectors, of = islands(3, 30)
    groups = found(vectors, tuple("abc"[i] for i in of), "kmeans", 7)
    assert len(groups.groups) == 7
    sizes = [group.size for group in groups.groups]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == 90
    assert groups.sentence.startswith("7 groups; silhouette")


def test_agreement_with_labels_is_none_without_labels():
    vectors, _ = islands()
    assert found(vectors, ("",) * 90, "kmeans", 3).agreement is None
    one = found(vectors, ("",) * 90, "kmeans", 1)
    assert (len(one.groups), one.silhouette) == (1, 0)


# In the built-in galleries -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return Gallery.open("digits")


def test_digits_fall_apart_from_pixels_to_the_trained_network(digits):
    vectors = digits.vectors("digits:cnn")
    assert len(digits) == 1797
    shares = {p: accuracy(vectors.at(p), digits.labels) for p in ("pixels", "pooled")}
    untrained = accuracy(digits.vectors("digits:untrained").at("pooled"), digits.labels)
    assert untrained < shares["pixels"] < shares["pooled"]
    assert shares["pooled"] > 0.985  # the network itself reads .991 of 450 held out, and the rest it was trained on
    islands_of = found(vectors.at("pooled"), digits.labels, "kmeans", 10)
    assert islands_of.agreement[0] > 0.95
    assert vectors.layouts["pooled/tsne"].shape == (1797, 2)
    # Of 1,797: .985 in all dimensions, less two standard errors √(.985 · .015 / 1797) = .003 for what two lose.
    assert accuracy(vectors.layouts["pooled/tsne"], digits.labels, metric="euclidean") > 0.98


def test_the_pond_sorts_by_what_each_network_reads():
    pond = Gallery.open("pond")
    assert len(pond) == 900
    for name in ("pond:cnn", "pond:vit", "pond:cheater"):
        vectors = pond.vectors(ex.load(name))  # the shipped vectors are of the shipped weights
        assert accuracy(vectors.at("pooled"), pond.labels) > 0.9  # its network has to be right .97; chance is .11 ± .01
        assert {"pooled/tsne", "pooled/umap"} <= vectors.layouts.keys()
    assert set(pond.facets) == {"body", "scale bar"}
    bodies = accuracy(pond.vectors("pond:cnn").at("pooled"), pond.facets["body"])
    # One in nine by chance, ± .01 for 900; twice that is left for bodies that cover what it reads.
    assert bodies < 0.25


def test_shipped_pictures_are_what_was_embedded(digits):
    model = ex.load("digits:cnn")
    for gallery, network in ((digits, model), (Gallery.open("pond"), ex.load("pond:cnn"))):
        picture = gallery.picture(5)
        assert gallery.number(picture) == 5
        trace = ex.look(network, picture)
        kept = gallery.vectors(network)
        assert kept.predicted[5] == trace.class_index
        pooled = trace.maps("last").mean((1, 2)).numpy()
        near = rounding(operations(network.module), pooled)
        assert close(kept.at("pooled")[5] * kept.scales["pooled"], pooled, HALF * np.abs(pooled) + near)
        assert gallery.thumbnail(5).shape[2] == 3


def test_a_new_picture_lands_among_its_own_digit(digits):
    from explainers.worlds.digits import pictures

    pixels, labels = pictures()
    fainter = (pixels[1790] * 0.9).astype(np.uint8)  # a digit that nobody wrote so
    trace = ex.look(ex.load("digits:cnn"), fainter)
    assert digits.number(trace.picture) is None
    answer = ex.explain(trace, "nearest", gallery=digits)
    assert answer.result.votes[0] == (str(labels[1790]), 1.0)
    here = np.array(ex.explain(trace, "picture_map").result.here)
    points = digits.vectors("digits:cnn").layouts["pooled/tsne"]
    near = np.linalg.norm(points - here, axis=1).argsort()[:10]
    assert {digits.labels[i] for i in near} == {str(labels[1790])}


def test_noise_is_unlike_anything_here(digits):
    noise = np.random.default_rng(5).integers(256, size=(32, 32, 3), dtype=np.uint8)
    answer = ex.explain(ex.look(ex.load("digits:cnn"), noise), "nearest", gallery="digits")
    assert "Unlike anything here" in " ".join(answer.notes)
    own = ex.explain(ex.look(ex.load("digits:cnn"), digits.picture(3)), "nearest", gallery="digits")
    assert "Unlike" not in " ".join(own.notes)
    assert "of pairs with one label are to each other" in " ".join(own.notes)
    assert all(row.id != digits.names[3] for row in own.result.rows)  # it is no neighbor of its own


def test_where_the_last_maps_are_averaged_both_shares_add_up_to_the_cosine(digits):
    model = ex.load("digits:cnn")
    one, other = ex.look(model, digits.picture(0)), ex.look(model, digits.picture(10))
    alike = likeness(one, other)
    a, b = one.maps("last").mean((1, 2)).double(), other.maps("last").mean((1, 2)).double()
    assert alike.exact
    near = rounding(2 * len(a) + alike.here.numel())
    assert alike.cosine == pytest.approx(float(a @ b / a.norm() / b.norm()), abs=near)
    assert float(alike.here.sum()) == pytest.approx(alike.cosine, abs=near)
    assert float(alike.there.sum()) == pytest.approx(alike.cosine, abs=near)
    assert float(likeness(one, one).here.sum()) == pytest.approx(1, abs=near)


def test_elsewhere_it_is_the_slope_of_the_cosine(monkeypatch):
    pond, vit = Gallery.open("pond"), ex.load("pond:vit")
    one, other = ex.look(vit, pond.picture(0)), ex.look(vit, pond.picture(1))
    alike = likeness(one, other)
    assert not alike.exact
    stored = pond.vectors(vit).at("pooled").astype(np.float64)
    cosine = stored[0] @ stored[1] / np.linalg.norm(stored[0]) / np.linalg.norm(stored[1])
    assert alike.cosine == pytest.approx(cosine, abs=2 * HALF)  # both vectors are kept in half precision
    assert alike.here.shape == alike.there.shape == (8, 8)
    assert alike.here.abs().max() > 0
    assert len(others(one, pond, "pooled", "cosine", 5).numbers) == 5


def test_a_network_without_a_gallery_is_told_how_to_make_one():
    digits, mine = ex.load("digits:cnn"), build(seed=7)
    picture = Gallery.open("digits").picture(0)
    with pytest.raises(QuestionError, match="No gallery here has vectors of mine; make one"):
        ex.explain(ex.look(ex.wrap(mine, framing=digits.framing, name="mine"), picture), "nearest")
    renamed = ex.wrap(digits.module, labels=digits.labels, framing=digits.framing, name="renamed")
    assert ex.explain(ex.look(renamed, picture), "nearest").gallery == "digits"  # known by its weights


def test_umap_leaves_torch_on_as_many_threads_as_it_was(monkeypatch):
    """Numba, which it runs on, sets the threads of the whole process to the number of cores, as this stand-in does."""

    class Umap:
        def __init__(self, **_):
            pass

        def fit_transform(self, rows):
            torch.set_num_threads(before + 1)
            return rows[:, :2]

    before = torch.get_num_threads()
    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=Umap))
    last(lay_out(islands()[0], "umap"))
    assert torch.get_num_threads() == before


# How much of a map is chance ------------------------------------------------------------------------------------------


def test_steadiness_is_the_share_of_neighbors_that_layouts_from_other_starts_have_in_common(monkeypatch):
    model, points = ex.load("digits:cnn"), np.stack([np.arange(400.0), np.zeros(400)], 1)
    shuffled = DRAW.permutation(points)
    layouts = [points, points[:, ::-1].copy(), shuffled]  # the second is the first, mirrored
    method = sys.modules[registry.find("steadiness").function.__module__]
    monkeypatch.setattr(method, "lay_out", lambda *_, seed, **__: iter([Frame(layouts[seed], 1.0)]))
    answers = list(ex.engine.stream(model, "steadiness", gallery="digits"))
    assert [answer.result.done for answer in answers] == [2 / 3, 1]
    assert answers[0].result.values.tolist() == [1]
    one, same, other = answers[1].result.values.tolist()
    assert one == 1
    assert same == pytest.approx(agreement(points, shuffled), abs=rounding(1))
    assert same == other < 0.1  # by chance 10 of 399
    assert answers[1].result.note.startswith(f"3 maps that begin at random share {100 * (1 + 2 * same) / 3:.0f} % of")
    assert answers[1].result.labels == ("starts 1 and 2", "starts 1 and 3", "starts 2 and 3")
