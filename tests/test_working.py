"""The working of a weighted sum: the numbers told on the way are those that the map and the score are made of."""

import re

import numpy as np
import pytest
import torch
from networks import cifar, photo, resnet20, squeezenet
from tolerance import rounding
from torch import nn

import explainers as ex
from explainers.ingredients.working import TOLD
from explainers.pictures import Framing

FRAMING = Framing(size=(32, 32), mode="squash", mean=(0, 0, 0), std=(1, 1, 1))
PICTURE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
SINGLE = rounding(64)
"""Networks are in double precision; what is told is in single, and at most 64 such numbers are added up here."""

SUMMING = ["grad_cam", "grad_cam_plus_plus", "xgrad_cam", "finer_cam", "shapley_cam", "score_cam", "ablation_cam"]


class Pooled(nn.Module):
    """Maps that are rectified or not, averaged, and a linear head."""

    def __init__(self, bend=nn.ReLU):
        super().__init__()
        torch.manual_seed(1)
        self.maps = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), bend())
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        return self.head(self.maps(x).mean((2, 3)))


def look(network, picture=PICTURE):
    return ex.look(ex.wrap(network.double().eval(), framing=FRAMING), picture)


def told(trace, method, **question):
    return ex.explain(trace, method, working=True, **question)


def close(a, b, tolerance=SINGLE):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-12)


def shown(working):
    """The steps that show one map each."""
    return [step for step in working if step.weight is not None]


def sums(working):
    """The running sums: what follows each map, and what comes after the last of them, but for the answer itself."""
    return [step for step in working[:-1] if step.weight is None]


def channel(step):
    return int(re.search(r"Channel (\d+)", step.sentence)[1])


# What it leads to ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("method", ["cam", "grad_cam", "xgrad_cam", "shapley_cam"])
def test_the_last_sum_is_the_signed_heat_and_the_last_step_the_answer(method, signed):
    trace = look(Pooled())
    whole = ex.explain(trace, method, target=2, signed=True).native
    assert (whole < 0).any()
    e = told(trace, method, target=2, signed=signed)
    assert close(sums(e.working)[-1].heat, whole)
    assert np.array_equal(e.working[-1].heat, e.native)
    assert e.working[-1].signed is signed
    assert ("Only what is above zero is kept" in e.working[-1].sentence) is not signed


@pytest.mark.parametrize("method", ["cam", *SUMMING])
def test_telling_changes_nothing_and_without_it_nothing_is_kept(method):
    plain, e = ex.explain(look(Pooled()), method, target=2), told(look(Pooled()), method, target=2)
    assert np.array_equal(plain.native, e.native)
    assert plain.working == ()
    assert np.array_equal(e.working[-1].heat, e.native)
    assert (e.spent.forwards, e.spent.backwards) == (plain.spent.forwards, plain.spent.backwards)


@pytest.mark.parametrize("bend", [nn.ReLU, nn.Identity])
def test_each_sum_is_the_one_before_and_a_weight_times_a_map(bend):
    trace = look(Pooled(bend))
    e, maps = told(trace, "grad_cam", target=1), trace.maps("last").numpy()
    before, strengths = np.zeros_like(maps[0]), []
    for of_map, of_sum in zip(e.working[: 2 * TOLD : 2], e.working[1 : 2 * TOLD : 2], strict=True):
        k = channel(of_map)
        assert np.array_equal(of_map.heat, maps[k].astype(np.float32))
        assert of_map.signed == (maps[k].min() < 0)
        before = before + np.float32(of_map.weight) * maps[k]
        assert close(of_sum.heat, before)
        assert of_sum.weight is None
        assert of_sum.signed
        strengths.append(abs(of_map.weight) * np.abs(maps[k]).mean())
    assert strengths == sorted(strengths, reverse=True)
    alive = int(trace.maps("last").flatten(1).any(1).sum())
    assert e.working[2 * TOLD].sentence.startswith(f"The other {alive - TOLD} channels")


# The score is the same sum, over places ------------------------------------------------------------------------------


@pytest.mark.parametrize("question", [{}, {"score": "logit"}, {"versus": 0}, {"versus": 0, "score": "logit"}])
def test_the_total_of_cam_comes_to_the_score(question):
    trace = look(Pooled())
    others = {0: trace.logits.mean(), 1: 0}[len(question)] if "versus" not in question else trace.logits[0]
    score = float(trace.logits[3] - others)
    told_sums = sums(told(trace, "cam", target=3, **question).working)
    assert told_sums[-1].total == pytest.approx(score, abs=SINGLE)
    assert f"{told_sums[-1].total:.3g}" in told_sums[-1].sentence
    for step in told_sums[:-1]:
        assert step.total == pytest.approx(float(step.heat.mean()), abs=SINGLE)


@pytest.mark.parametrize("question", [{"score": "probability"}, {"score": "log_prob"}, {"counterfactual": True}])
def test_no_total_is_told_where_the_average_is_not_the_score(question):
    trace = look(Pooled())
    for step in told(trace, "cam", target=3, **question).working + told(trace, "grad_cam", target=3).working:
        assert step.total is None
        assert "of the score" not in step.sentence
        assert "exactly the score" not in step.sentence


def test_by_hand_one_bright_place_against_a_wash_of_green():
    class RedLessGreen(nn.Module):
        """Red counts three, green takes away one, and the class has a half whatever the picture."""

        def __init__(self):
            super().__init__()
            self.cells, self.head = nn.Sequential(nn.AvgPool2d(8), nn.Conv2d(3, 2, 1, bias=False)), nn.Linear(2, 2)
            self.cells[1].weight.data = torch.tensor([[1.0, 0, 0], [0, 1, 0]])[..., None, None]
            self.head.weight.data, self.head.bias.data = torch.tensor([[3.0, -1], [0, 0]]), torch.tensor([0.5, 0])

        def forward(self, x):
            return self.head(self.cells(x).mean((2, 3)))

    picture = np.zeros((32, 32, 3), np.uint8)
    picture[8:16, 16:24, 0], picture[..., 1] = 255, 51
    green, red = np.full((4, 4), 0.2), np.zeros((4, 4))
    red[1, 2] = 1
    first, one, second, both, mean, last = told(look(RedLessGreen(), picture), "cam", target=0, score="logit").working
    assert (first.weight, second.weight) == (-1, 3)  # 1 × 0.2 on average against 3 × 1/16: green comes first
    assert close(first.heat, green)
    assert close(one.heat, -green)
    assert "averages this map to 0.2 and takes that times −1: −0.2 of the score" in one.sentence
    assert close(second.heat, red)
    assert close(both.heat, 3 * red - green)
    assert "brings +0.19 of the score" in both.sentence
    assert [one.total, both.total, mean.total] == pytest.approx([-0.2, 3 / 16 - 0.2, 3 / 16 - 0.2 + 0.5], abs=SINGLE)
    assert "16 places" in mean.sentence
    assert "plus +0.5" in mean.sentence
    assert close(last.heat, (3 * red - green).clip(0))


# What is left untold -------------------------------------------------------------------------------------------------


def test_channels_that_add_nothing_visible_are_told_at_once_and_dead_ones_not_at_all():
    network = Pooled()
    with torch.no_grad():
        network.maps[2].bias[:2] = 1
        network.head.weight[0] = torch.tensor([1.0, 1e-4, *[0] * 10])
    e = told(look(network), "cam", target=0, score="logit")
    assert [channel(step) for step in shown(e.working)] == [0]
    assert e.working[2].sentence.startswith("One more channel")


def test_a_blank_answer_is_called_so():
    network = Pooled()
    torch.nn.init.zeros_(network.head.weight)
    e = told(look(network), "grad_cam", target=0)
    assert [step.sentence for step in e.working] == ["No channel counts for the class here, so the answer is blank."]
    with torch.no_grad():
        network.head.weight[0] = -1
        network.maps[2].bias[:] = 1
    assert told(look(network), "grad_cam", target=0).working[-1].sentence.endswith("nothing is: the answer is blank.")


# The words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bend", [nn.ReLU, nn.Identity])
@pytest.mark.parametrize("method", ["cam", *SUMMING])
def test_each_step_is_told_in_sentences(method, bend):
    options = {option.name for option in ex.registry.find(method).options}
    for question in [{}, {"counterfactual": True}] if "counterfactual" in options else [{}]:
        for step in told(look(Pooled(bend)), method, target=2, **question).working:
            assert re.fullmatch(r"[A-Z].*\.", step.sentence)
            assert len(step.sentence) < 320
            assert not re.search(r"  |\bnan\b|\binf\b|None|\.\.|,,|\?", step.sentence)
            if step.weight is not None:
                assert f"Its weight is {step.weight:+.2g}, ".replace("-", "−") in step.sentence


# Real networks -------------------------------------------------------------------------------------------------------


def test_resnet20_leads_from_its_maps_to_the_logit():
    trace = ex.look(resnet20(torch.float64), cifar("frog"))
    head, best = trace.classifier.module.linear.weight.detach(), trace.class_index
    for step in shown(told(trace, "cam", score="logit").working):
        assert step.weight == pytest.approx(float(head[best, channel(step)]), rel=SINGLE)
    e = told(trace, "cam")
    totals = [step.total for step in sums(e.working)]
    assert totals[-1] == pytest.approx(float(trace.logits[best] - trace.logits.mean()), rel=SINGLE)
    assert len(totals) == TOLD + 2  # each told channel, the rest, the constant
    grad = told(trace, "grad_cam", signed=True)
    for a, b in zip(sums(e.working), sums(grad.working), strict=False):  # the same pictures, 64 cells apart
        assert close(a.heat, 64 * b.heat)


def test_squeezenet_shows_the_map_of_the_class_itself():
    trace = ex.look(squeezenet(torch.float64), photo("tree_frog"))
    maps, index = trace.maps(trace.classifier.anatomy.head.site), trace.classifier.labels.index("tree frog")
    own, added, others, mean, last = told(trace, "cam", target="tree frog").working
    assert np.array_equal(own.heat, maps[index].float().numpy())
    assert own.weight == pytest.approx(1 - 1 / 1000)
    assert "“tree frog”" in own.sentence
    assert close(added.heat, 0.999 * own.heat)
    assert others.sentence.startswith("The maps of the 999 other classes")
    assert mean.total == pytest.approx(float(trace.logits[index] - trace.logits.mean()), rel=SINGLE)
    assert "whatever the picture" not in mean.sentence  # the constant is in the maps already
    assert np.array_equal(last.heat, mean.heat.clip(0))

    rather = told(trace, "cam", target="tree frog", versus="bullfrog").working
    assert {re.search("“(.*)”", step.sentence)[1]: step.weight for step in shown(rather)} == {
        "tree frog": 1, "bullfrog": -1
    }  # fmt: skip
    assert not any("other classes" in step.sentence for step in rather)  # the 998 count for nothing here
    assert not any("Channel" in step.sentence for step in rather)
