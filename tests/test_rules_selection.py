"""DeepLIFT through what is picked: by rank, by an index that depends on the picture, and by a mask of a comparison."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from differing import held, missed
from test_rules_sums import EXACT, PAIRS, RAMP, numbers
from torch import nn

import explainers as ex
from explainers.pictures import Framing

RANKS = {
    "max and min": lambda x: (x.max(1).values * RAMP[:4]).sum() + x.min(0)[0].sum() + x.max() - torch.min(x),
    "extremes over axes": lambda x: x.view(2, 2, 6).amax((0, 2)).sum() + torch.amin(x, 1, keepdim=True).exp().sum(),
    "both extremes": lambda x: sum(each.square().sum() for each in torch.aminmax(x, dim=1)),
    "topk": lambda x: (x.topk(3, 1).values * RAMP[:3]).sum() + torch.topk(x, 2, dim=0, largest=False)[0].exp().sum(),
    "sort": lambda x: (x.sort(1).values * RAMP).sum() + (torch.sort(x, dim=0, descending=True)[0][1] * RAMP).sum(),
    "sort of all": lambda x: (x.flatten().sort(stable=True)[0] * torch.arange(24.0)).sum(),
    "msort": lambda x: torch.msort(x)[1].sum(),
    "median": lambda x: x.median() + x.median(1).values.exp().sum() + torch.nanmedian(x, 0, keepdim=True)[0].sum(),
    "kthvalue": lambda x: x.kthvalue(2, 1).values.square().sum() + torch.kthvalue(x, k=3, dim=0)[0].sum(),
    "mode": lambda x: x.mode(1).values.sum(),
    "running extremes": lambda x: (x.cummax(1).values * RAMP).sum() + torch.cummin(x, 0)[0].exp().sum(),
    "quantiles": lambda x: x.quantile(0.3) + torch.quantile(x, numbers(0.1, 0.8), dim=1).exp().sum(),
    "max pooling": lambda x: F.max_pool2d(x.view(1, 1, 4, 6), 2).sum() + F.adaptive_max_pool1d(x[None], 2).exp().sum(),
    "pooled and put back": lambda x: F.max_unpool1d(*F.max_pool1d(x[None], 2, return_indices=True), 2).mul(RAMP).sum(),
    "one number": lambda x: x[0, 0].max() * x.sum().min(),
}  # fmt: skip

INDICES = {
    "gather by order": lambda x: (x.exp().gather(1, x.argsort(1)) * RAMP).sum(),
    "along an axis": lambda x: (torch.take_along_dim(x.exp(), x.sort(1, descending=True).indices, 1) * RAMP).sum(),
    "rows by their mean": lambda x: (x[x.mean(1).argsort()].exp() * RAMP[:4, None]).sum(),
    "best row": lambda x: x.index_select(0, x.sum(1).topk(2)[1]).square().sum() + x[x.sum(1).argmax()].exp().sum(),
    "one by another": lambda x: (RAMP.expand(4, 6).gather(1, x.topk(2, 1).indices)).sum(),
    "shifted": lambda x: x.exp().gather(1, (x.argmax(1, keepdim=True) + 1) % 6).sum(),
    "routed": lambda x: (F.one_hot(x.argmax(1), 6).to(x) * x.exp()).sum(),
    "put by order": lambda x: (torch.zeros_like(x).scatter(1, x.argsort(1), x.exp()) * RAMP).sum(),
    "a table": lambda x: _table((x > 0).sum(1)).square().sum(),
    "in bins": lambda x: _table(torch.bucketize(x[:, 0].contiguous(), numbers(-0.5, 0.5))).sum(),
    "counted": lambda x: (x * (x > 0)).sum(1).div((x > 0).sum(1) + 1).exp().sum(),
}  # fmt: skip

MASKS = {
    "where": lambda x: torch.where(x > 0.1, x.exp(), x.square()).sum(),
    "where, with a number": lambda x: torch.where(x.le(0.2), 3.0, x).square().sum() + x.where(x != 0.5, x.exp()).sum(),
    "times a mask": lambda x: (x * (x > 0) * RAMP).sum() + ((x < x.mean()).to(x.dtype) * x.exp()).sum(),
    "a mask alone": lambda x: ((x >= 0).double().mean(1) * RAMP[:4]).sum() + (x > 0).to(x).sum(),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.3).exp().sum() + x.clone().masked_fill_(mask=x > 1, value=2).sum(),
    "two masks": lambda x: torch.where((x > -0.5) & ~(x > 0.5) | (x > 1), x, x.exp()).sum(),
    "masks in place": lambda x: _in_place(x).sum(),
    "of other values": lambda x: torch.where(x.flip(1) > x.flip(0), x.exp(), x.sin()).sum(),
    "a mask that is spread": lambda x: torch.where((x.sum(1) > 0)[:, None].expand(4, 6), x.exp(), x).sum(),
    "written where": lambda x: _written(x).exp().sum(),
    "for a softmax": lambda x: (x.masked_fill(x < x.median(1, keepdim=True)[0], -9.0).softmax(1) * RAMP).sum(),
    "any and all": lambda x: torch.where((x > 1).any(1, keepdim=True), x.exp(), x).sum(),
}  # fmt: skip

ALL = RANKS | INDICES | MASKS
torch.manual_seed(0)
_table = nn.Embedding(7, 3).double()


def _in_place(x):
    mask = x > 0
    mask &= x < 1
    return x.exp() * mask


def _written(x):
    y = x.clone()
    y[x < 0] = 0.25
    return y


@pytest.fixture(autouse=True)
def _in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", ALL)
def test_the_parts_add_up_through(name, pair):
    x, x0 = PAIRS[pair]
    assert missed(ALL[name], x, x0) < EXACT


@pytest.mark.parametrize("name", ALL)
def test_what_comes_out_is_what_always_does(name):
    x, x0 = PAIRS["unrelated"]
    _, after, before, _ = held(ALL[name], x, x0)
    with torch.no_grad():
        assert float(after) == pytest.approx(float(ALL[name](x)), rel=1e-12)
        assert float(before) == pytest.approx(float(ALL[name](x0)), rel=1e-12)


# By hand -------------------------------------------------------------------------------------------------------------


def test_the_rank_is_carried_by_a_value_that_went_all_the_way():
    x, x0 = numbers(5, 1, 2), numbers(0, 3, 2)
    m, *_ = held(lambda x: x.max(0).values, x, x0)
    assert (m * (x - x0)).tolist() == [2, 0, 0]  # from 3 to 5, which the first passed
    m, *_ = held(lambda x: x.median(), x, x0)  # 2 in both
    assert (m * (x - x0)).tolist() == [0, 0, 0]
    # The second of (4, 1, 9) is 4; of (0, 2, 3) it is 2: neither 4 alone (from 0) nor 2 (now 1) but the first crossed.
    m, *_ = held(lambda x: x.kthvalue(2).values, numbers(4, 1, 9), numbers(0, 2, 3))
    assert (m * numbers(4, -1, 6)).tolist() == pytest.approx([2, 0, 0])


def test_multipliers_of_a_rank_are_shares_between_none_and_all():
    torch.manual_seed(3)
    for _ in range(20):
        x, x0 = torch.randn(2, 9, dtype=torch.float64)
        for rank in range(1, 10):
            m, *_ = held(lambda x, rank=rank: x.kthvalue(rank).values, x, x0)
            assert m.min() >= 0
            assert m.sum() <= 1 + 1e-12


def test_a_rectifier_spelled_with_a_mask_has_the_rectifiers_multiplier():
    x, x0 = numbers(2, -1, 3, -2, 1), numbers(1, 1, -1, -3, 1)
    for spelled in (lambda x: torch.where(x > 0, x, 0.0), lambda x: x * (x > 0), lambda x: x.masked_fill(x < 0, 0)):
        m, *_ = held(lambda x, spelled=spelled: spelled(x).sum(), x, x0)
        assert m.tolist()[:4] == pytest.approx([1, 0.5, 0.75, 0])  # as of max(x, 0): what it lets through of the change


def test_a_mask_is_carried_by_what_was_compared_and_the_branches_by_what_they_changed():
    x, x0 = numbers(1, 5, 2), numbers(-1, 3, 2)  # a gate, and what it lets through, or not
    m, *_ = held(lambda x: torch.where(x[0] > 0, x[1], x[2]), x, x0)
    # from 2 to 5. The second changed by 2 and counts for half; the gate for the mean of 5 − 2 and 3 − 2.
    assert (m * (x - x0)).tolist() == pytest.approx([2, 1, 0])


# In a network --------------------------------------------------------------------------------------------------------


class Picking(nn.Module):
    """Tokens of which the strongest are kept, in the order of their strength, and read one after another."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.cut, self.read = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 3)

    def forward(self, x):
        tokens = self.cut(x).flatten(2).mT  # (N, T, 8)
        best = tokens.norm(dim=2).topk(5, dim=1).indices
        kept = tokens.gather(1, best[..., None].expand(-1, -1, 8))
        kept = torch.where(kept > kept.mean(2, keepdim=True), kept, kept.tanh())
        return self.read((kept * torch.linspace(1, 2, 5, dtype=x.dtype)[:, None]).mean(1))


@pytest.mark.parametrize("reference", ["gray", "black", "noise"])
def test_a_network_that_keeps_its_strongest_tokens_sums(reference):
    torch.set_default_dtype(torch.float32)
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    model = ex.wrap(Picking().double().eval(), framing=Framing(size=(16, 16), mode="squash"))
    adds_up = ex.explain(ex.look(model, picture), "deeplift", target=1, reference=reference).result.adds_up
    assert adds_up.residual < EXACT
