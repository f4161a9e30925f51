"""Judging a map, on networks whose answers are worked out by hand."""

import itertools
import json
import threading
import time

import numpy as np
import pytest
import torch
from tolerance import rounding
from torch import nn

import explainers as ex
from explainers import scores, worlds
from explainers.errors import DoesNotApply, QuestionError, Stopped
from explainers.pictures import Framing
from explainers.results import Heatmap, Sum
from explainers.scores import Plan, cell_means, coldest_first, gini, judge, share_of_area, spearman

SIDE = 32
CELLS = (8, 8)
NEAR = rounding(1000, 100, torch.float64)
"""A score adds up 64 patches of 48 numbers, in all less than 100; a curve, at most a thousand steps after that."""
SIX = Plan((0, 0.15, 0.3, 0.45, 0.6, 0.8, 1), 64)


class Patches(nn.Module):
    """Class 0's logit adds up what each of 8 × 8 patches is worth where it is white; class 1's is always zero."""

    def __init__(self, worth):
        super().__init__()
        self.worth = nn.Parameter(torch.as_tensor(worth, dtype=torch.float64).view(1, 1, *CELLS))

    def forward(self, x):
        patches = nn.functional.avg_pool2d(x.mean(1, keepdim=True), SIDE // 8)
        total = (patches * self.worth).sum((1, 2, 3))
        return torch.stack([total, torch.zeros_like(total)], 1)


def patches(worth, name="patches"):
    # Black is what the training pictures were on average, so a covered patch is worth nothing.
    framing = Framing(size=(SIDE, SIDE), mode="squash", mean=(1e-15, 1e-15, 1e-15), std=(1, 1, 1))
    return ex.wrap(Patches(worth).eval(), framing=framing, labels=("it", "not it"), name=name)


def white(worth, score="logit", **choices):
    model = patches(worth, **choices)
    trace = ex.look(model, np.full((SIDE, SIDE, 3), 255, np.uint8))
    return trace.ask(ex.trace.Target(0, score=score))


def heat(values, **choices):
    return Heatmap(np.asarray(values, np.float32).reshape(CELLS), unit="", signed=True, **choices)


@pytest.fixture
def worth():
    return np.random.default_rng(3).normal(0.3, 1, 64)


def area(worth, order, counts):
    """SRG by hand: what is left of the sum when so many of the coldest, or of the warmest, are gone."""
    coldest = [worth.sum() - worth[order[:count]].sum() for count in counts]
    warmest = [worth.sum() - worth[order[::-1][:count]].sum() for count in counts]
    widths = np.diff(np.array(counts) / len(worth))
    between = np.array(coldest) - np.array(warmest)
    return float((widths * (between[1:] + between[:-1]) / 2).sum())


def test_the_curves_are_those_worked_out_by_hand(worth):
    card = judge(white(worth), heat(worth), plan=SIX)
    order, counts = np.argsort(worth), [0, 10, 19, 29, 38, 51, 64]
    assert card.covered == pytest.approx([count / 64 for count in counts])
    left = [worth.sum() - worth[order[:count]].sum() for count in counts]
    assert card.coldest_first == pytest.approx(left, abs=NEAR)
    assert card.warmest_first == pytest.approx([worth[order[: 64 - count]].sum() for count in counts], abs=NEAR)
    assert card.srg == pytest.approx(area(worth, order, counts), abs=NEAR)
    assert card.span == pytest.approx(worth.sum(), abs=NEAR)
    assert card.share == pytest.approx(card.srg / worth.sum(), abs=NEAR)
    sigmoid = 1 / (1 + np.exp(-np.array([worth[order[51:]].sum(), worth[order[:51]].sum()])))
    assert [card.keep, card.drop] == pytest.approx(
        sigmoid, abs=rounding(1)
    )  # the warmest 13 of 64 alone, and all but them


def test_the_true_order_beats_a_thousand_random_ones(worth):
    best = judge(white(worth), heat(worth), plan=SIX)
    rng, counts = np.random.default_rng(0), [0, 10, 19, 29, 38, 51, 64]
    others = [area(worth, rng.permutation(64), counts) for _ in range(1000)]
    assert best.srg > max(others)
    assert best.verdict == "above"
    assert "more than random maps reach" in best.says
    assert abs(np.mean(others)) < 3 * np.std(others) / np.sqrt(1000)
    # The band holds nine of ten of them: it is drawn from 64 orders, so that its own error is about a tenth.
    assert best.spread == pytest.approx(1.645 * np.std(others), rel=0.3)


def test_the_true_order_is_the_best_of_all_orders_of_seven():
    worth = np.array([3.0, -1.0, 0.5, 2.0, -2.0, 0.1, 1.0])
    counts = range(8)
    best = area(worth, coldest_first(worth), counts)
    assert best == pytest.approx(max(area(worth, np.array(o), counts) for o in itertools.permutations(range(7))))


def test_the_opposite_map_has_the_opposite_score():
    values = np.random.default_rng(0).integers(0, 4, 64).astype(float)  # full of ties
    noise = np.random.default_rng(1).random(64)
    assert (coldest_first(-values, -noise) == coldest_first(values, noise)[::-1]).all()
    worth = np.random.default_rng(3).normal(0.3, 1, 64)  # without ties, the noise does not matter
    there, back = (judge(white(worth), heat(sign * worth), plan=SIX) for sign in (1, -1))
    assert back.srg == pytest.approx(-there.srg, abs=NEAR)
    assert back.verdict == "below"
    assert "backwards" in back.says


def test_only_the_order_of_the_cells_counts(worth):
    plain = judge(white(worth), heat(worth), plan=SIX)
    bent = judge(white(worth), heat(np.exp(3 * worth)), plan=SIX)
    assert bent.coldest_first == plain.coldest_first
    assert bent.srg == plain.srg


def test_cells_that_are_equal_stay_so_and_go_in_a_fixed_random_order():
    coarse = np.arange(49.0).reshape(7, 7) / 3
    fine = cell_means(coarse, (14, 14))
    assert (fine == np.kron(coarse, np.ones((2, 2)))).all()
    zeros = np.zeros(64)
    order = coldest_first(zeros)
    assert (order == coldest_first(zeros)).all()
    assert not (order == np.arange(64)).all()
    assert sorted(order) == list(range(64))


def test_a_value_in_two_cells_counts_for_both():
    assert cell_means(np.array([[0.0, 6.0, 3.0]]), (1, 2)).tolist() == [[2.0, 4.0]]  # (0 + 6/2) / 1.5, (6/2 + 3) / 1.5
    values = np.random.default_rng(0).normal(size=(13, 12))
    assert cell_means(values, (14, 8)).mean() == pytest.approx(values.mean())


def test_a_network_that_says_the_same_of_everything_scores_zero(worth):
    card = judge(white(np.zeros(64)), heat(worth), plan=SIX)
    assert card.srg == 0
    assert card.share is None
    assert card.band is None
    assert card.verdict == "within"
    assert card.big == "+0"


def test_a_picture_that_lowers_the_class_has_no_share(worth):
    card = judge(white(-np.abs(worth)), heat(-np.abs(worth)), plan=SIX)
    assert card.share is None
    assert card.verdict == "above"  # the map is right all the same


def test_a_blank_map_is_called_so_and_costs_no_covering():
    card = judge(white(np.ones(64)), heat(np.zeros(64)), plan=SIX)
    assert card.blank
    assert card.verdict is card.share is card.srg is card.gini is card.keep is None
    assert "same everywhere" in card.says
    assert card.spent.forwards <= 2
    flat = judge(white(np.ones(64)), heat(np.full(64, 0.5)), plan=SIX)
    assert flat.blank


def test_the_sum_is_told_or_that_none_was_promised(worth):
    assert judge(white(worth), heat(worth), plan=SIX).residual is None
    kept = judge(white(worth), heat(worth, adds_up=Sum(parts=0.9, whole=1.0)), plan=SIX)
    assert kept.residual == pytest.approx(0.1)


def test_whether_the_map_depends_on_the_class(worth):
    same = judge(white(worth), heat(worth), rival=heat(3 * worth + 1), rival_label="not it", plan=SIX)
    assert same.contrast == pytest.approx(1)
    assert same.depends_on_class is False
    assert any("does not depend on the class" in each for each in same.caveats)
    other = judge(white(worth), heat(worth), rival=heat(-worth), rival_label="not it", plan=SIX)
    assert other.contrast == pytest.approx(-1)
    assert other.depends_on_class is True
    assert judge(white(worth), heat(worth), plan=SIX).depends_on_class is None


def test_a_map_of_what_speaks_against_the_class_is_judged_the_other_way_round(worth):
    plain, turned = (
        judge(white(worth), heat(worth), plan=SIX),
        judge(white(worth), heat(-worth), against=True, plan=SIX),
    )
    assert turned.share == pytest.approx(plain.share)
    assert turned.verdict == "above"
    assert "between covering the warmest and the coldest cells first" in turned.says


def test_rank_correlation_by_hand_and_with_ties():
    assert spearman(np.array([1, 2, 3, 4]), np.array([10, 30, 20, 40])) == pytest.approx(0.8)  # 1 − 6·2 / (4·15)
    assert spearman(np.array([1, 1, 2]), np.array([1, 2, 3])) == pytest.approx(np.sqrt(3) / 2)  # ranks 1½, 1½, 3
    assert spearman(np.ones(3), np.arange(3)) is None


def test_focus_by_hand():
    one = np.zeros(10)
    one[3] = 7
    assert gini(one) == pytest.approx(1 - 1 / 10, abs=NEAR)
    assert gini(np.full(10, 3.0)) == pytest.approx(0, abs=NEAR)
    assert gini(np.zeros(4)) is None
    assert share_of_area(one, 0.5) == 0.1
    assert share_of_area(np.ones(10), 0.5) == 0.5


def test_random_maps_are_judged_once_for_all_methods(worth):
    trace = white(worth)
    first, second = judge(trace, heat(worth), plan=SIX), judge(trace, heat(-worth), plan=SIX)
    assert first.spread == second.spread
    assert first.spent.forwards == 1 + 2 * 5 + 1 + 2 * 64 * 3 + 1  # whole, both orders, warmest fifth, random, gray
    assert second.spent.forwards == 2 * 5 + 1 + 1


def test_the_plan_keeps_its_word_and_its_band_is_that_of_all_steps(worth):
    trace = white(worth)
    trace.top(1)
    card = judge(trace, heat(worth))
    assert card.spent.forwards == scores.PLAN.forwards == 2 * 5 + 1 + 1 + 16 * 3
    assert card.verdict == "above"
    # Eight random orders estimate their own deviation with an error of a quarter, and allow for it by Student's t.
    assert card.spread == pytest.approx(judge(trace, heat(worth), plan=SIX).spread, rel=0.6)
    order = np.argsort(worth)
    assert card.keep == pytest.approx(1 / (1 + np.exp(-worth[order[51:]].sum())), abs=rounding(1))


def test_a_slow_machine_finds_the_same(monkeypatch, worth):
    quick = judge(white(worth), heat(worth))
    clock = itertools.count(step=5.0)  # every look at the clock is five seconds after the one before
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    slow = judge(white(worth), heat(worth))
    assert slow.spent.seconds > quick.spent.seconds
    assert slow == quick


def test_the_speed_is_the_best_time_seen(monkeypatch, worth):
    trace = white(worth)
    measured = iter([5.0, 2.0])  # a busy machine, and a network too slow for a third look
    monkeypatch.setattr(scores.plan, "_timed", lambda trace, pictures: next(measured))
    assert scores.seconds_per_forward(trace) == 2
    judge(trace, heat(worth))  # which sees that it is not that slow
    assert scores.seconds_per_forward(trace) < 0.007


def test_a_share_is_told_only_where_it_says_more_than_chance(worth):
    # Cells that are worth 1 and −1 by turns leave a whole of `left`, and random orders move the score all the same.
    signs = np.tile([1.0, -1.0], 32)
    for left, told in ((0.5, False), (60.0, True)):
        card = judge(white(signs + left / 64), heat(signs))
        assert card.span == pytest.approx(left, abs=NEAR)
        assert (card.span > 2 * card.spread) is (card.share is not None) is told
        assert card.verdict == "above"
        assert any("too close to tell a share" in each for each in card.caveats) is not told
    assert card.big == f"{100 * card.gap / 60:.0f} %"
    close = judge(white(signs + 0.5 / 64), heat(signs))
    assert close.big == f"{close.gap:+.2g}"
    assert close.says.startswith(f"{close.big} logit points lie between covering the coldest and the warmest cells")
    assert f"(−{close.spread:.2g} to +{close.spread:.2g})" in close.says


def test_between_two_classes_there_are_points_and_both_are_named(worth):
    trace = white(np.abs(worth))
    card = judge(trace.ask(ex.trace.Target(0, 1, "logit")), heat(np.abs(worth)))
    assert (card.label, card.versus, card.share) == ("it", "not it", None)
    assert "nearer to it than to not it: coldest cells covered first, less warmest" in card.says
    back = judge(trace.ask(ex.trace.Target(1, 0, "logit")), heat(-np.abs(worth)))
    assert back.gap == pytest.approx(card.gap, abs=NEAR)  # the same pictures, the other way round
    assert back.verdict == "above"


def test_what_was_covered_and_what_became_of_it_is_told(worth):
    card = judge(white(worth), heat(worth))
    assert card.order == tuple(np.argsort(worth))
    assert card.fill == pytest.approx([1e-15] * 3)
    for scores_, chances in zip((card.coldest_first, card.warmest_first), card.chances, strict=True):
        assert chances == pytest.approx(1 / (1 + np.exp(-np.array(scores_))), abs=rounding(1))


def test_cells_go_by_the_size_of_picture_and_last_maps(worth):
    assert scores.grid(patches(worth)) == CELLS
    wide = ex.wrap(nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval(), name="wide")
    assert scores.grid(wide) == (14, 14)
    coarse = nn.Sequential(nn.Conv2d(3, 4, 32, stride=32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    assert scores.grid(ex.wrap(coarse, framing=Framing(size=(224, 448)))) == (7, 14)


def test_judging_can_be_stopped_and_is_json(worth):
    with pytest.raises(Stopped):
        judge(white(worth), heat(worth), plan=SIX, stop=lambda: True)
    told = json.loads(json.dumps(judge(white(worth), heat(worth), plan=SIX).payload(), allow_nan=False))
    assert told["verdict"] == "above"
    assert told["random_orders"] == 128
    json.dumps(judge(white(np.zeros(64)), heat(np.zeros(64))).payload(), allow_nan=False)


def test_an_uncertain_network_and_unknown_coverings_are_said(worth):
    card = judge(white(-np.abs(worth)), heat(worth), plan=SIX)
    assert any("little of a decision" in each for each in card.caveats)
    assert any("partly gray" in each for each in card.caveats)
    home = white(np.abs(worth))
    object.__setattr__(home.classifier, "world", worlds.home())  # as loading does, for networks trained to stand it
    assert judge(home, heat(worth), plan=SIX).caveats == ()


def test_judging_an_answer_asks_the_rival_and_knows_its_own():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    )
    model = ex.wrap(module.eval(), framing=Framing(size=(24, 24)), labels=("a", "b", "c"), name="small")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    trace = ex.look(model, pixels)
    answer = ex.explain(trace, "grad_cam", signed=True)
    card = ex.judge(trace, answer)
    first, second = (p.label for p in trace.top(2))
    assert (card.label, card.rival) == (first, second)
    rival = ex.explain(trace, "grad_cam", target=second, signed=True)
    assert card.contrast == pytest.approx(spearman(answer.native, rival.native))
    rather = ex.judge(trace, ex.explain(trace, "grad_cam", versus="c" if first != "c" else "a", signed=True))
    assert rather.contrast == pytest.approx(-1)  # the map of a difference, the other way round
    turned = ex.judge(trace, ex.explain(trace, "grad_cam", signed=True, counterfactual=True))
    assert turned.share == pytest.approx(card.share)
    with pytest.raises(QuestionError, match="another picture"):
        ex.judge(ex.look(model, pixels[::-1].copy()), answer)
    backbone = ex.wrap(module, framing=Framing(size=(24, 24)), labels=(), name="backbone")
    with pytest.raises(DoesNotApply, match="no classes"):
        judge(ex.look(backbone, pixels), answer.result)


def test_twenty_threads_get_the_same_card(worth):
    trace = white(worth)
    cards = []
    threads = [
        threading.Thread(target=lambda: cards.append(judge(trace, heat(worth), plan=scores.PLAN))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cards) == 20
    assert all(card == cards[0] for card in cards)
