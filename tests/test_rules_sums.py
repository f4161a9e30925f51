"""DeepLIFT's parts add up through torch's functions, however they are spelled, where channels are still, at ties."""

import pytest
import torch
import torch.nn.functional as F
from differing import held, missed
from torch import nn

EXACT = 1e-9
"""In double precision: some hundred terms, to 1e-16 of their sizes, over differences of 1e-7 and more."""

RAMP = torch.arange(6, dtype=torch.float64)


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def inputs():
    """Pairs (4, 6): unrelated, from zero, with rows that are still in one or both, with ties, and shuffled."""
    torch.manual_seed(1)
    x, other = torch.randn(2, 4, 6, dtype=torch.float64)
    still, stills = x.clone(), other.clone()
    still[1] = 0.5
    stills[1], stills[2] = 0.25, 0.0
    ties = (2 * x).round() / 2
    return {
        "unrelated": (x, other),
        "from nothing": (x, torch.zeros_like(x)),
        "to nothing": (torch.zeros_like(x), x),
        "still in both": (still, stills),
        "still in one": (x, stills),
        "ties": (ties, (2 * other).round() / 2),
        "in another order": (x, x.roll(1, 0)),
    }


PAIRS = inputs()

NORMS = {
    "std": lambda x: (x.std(1) * RAMP[:4]).sum(),
    "std, biased": lambda x: torch.std(x, 1, False).sum(),
    "std over all": lambda x: x.std(),
    "std by keyword": lambda x: torch.std(x, dim=(0, 1), correction=2, keepdim=True).sum(),
    "std, biased, over all": lambda x: x.std(False),
    "std and mean": lambda x: (torch.std_mean(x, 1)[0] * torch.std_mean(x, 1)[1]).sum(),
    "var": lambda x: x.var(-1, unbiased=False).sum(),
    "var and mean": lambda x: sum(each.sum() for each in torch.var_mean(x, dim=0, keepdim=True)),
    "norm": lambda x: x.norm(dim=1).sum() + x.norm(),
    "norms of other orders": lambda x: sum(x.norm(p, dim=1).sum() for p in (1, 3, 1.5, 2.0, float("inf"))),
    "least of sizes": lambda x: torch.linalg.vector_norm(x, -torch.inf, dim=1).sum(),
    "vector norms over two axes": lambda x: torch.linalg.vector_norm(x.view(2, 2, 6), 4, dim=(0, 2)).sum(),
    "norm of linalg": lambda x: torch.linalg.norm(x, dim=1).sum() + torch.linalg.norm(x, ord=1, dim=0).sum(),
    "norms of matrices": lambda x: sum(torch.linalg.matrix_norm(x, kind) for kind in ("fro", "nuc", 2, 1)),
    "Frobenius": lambda x: torch.norm(x, p="fro", dim=(0, 1)),
    "pooling by powers": lambda x: F.lp_pool2d(x.view(1, 1, 4, 6), 2, 2).sum() + F.lp_pool1d(x.abs()[None], 3, 2).sum(),
    "instance norm": lambda x: (F.instance_norm(x.view(1, 2, 2, 6)) * RAMP).sum(),
    "instance norm of a batch": lambda x: (F.instance_norm(x.view(2, 2, 6), weight=RAMP[1:3]) ** 3).sum(),
    "group norm": lambda x: (F.group_norm(x.view(1, 4, 6), 2) * RAMP).sum(),
    "local response norm": lambda x: (F.local_response_norm(x.view(1, 4, 6), 3) * RAMP).sum(),
    "weights that move": lambda x: F.layer_norm(x, (6,), weight=x[0]).square().sum(),
    "cosines": lambda x: (F.cosine_similarity(x, x.flip(0).exp(), dim=1) * RAMP[:4]).sum(),
    "cosines, one beside all": lambda x: F.cosine_similarity(x[:1], x[1:], dim=-1).sum(),
    "unit length": lambda x: (F.normalize(x, dim=1) * RAMP).sum() + F.normalize(x, p=1, dim=0)[0].sum(),
    "distances of pairs": lambda x: F.pairwise_distance(x, x.flip(1)).sum() + F.pairwise_distance(x, x[:1], p=1).sum(),
    "distances of all": lambda x: torch.cdist(x[None], x[None].tanh()).sum() + torch.cdist(x, x.exp(), p=1.0).sum(),
    "distances within": lambda x: F.pdist(x + 0.1 * RAMP).sum() + torch.dist(x[0], x[1], 3),
}  # fmt: skip

SEVERAL = {
    "products of many": lambda x: x.prod() + x.prod(1).sum() + torch.prod(x, 0, keepdim=True).sum(),
    "running products": lambda x: (x.cumprod(1) * RAMP).sum() + torch.cumprod(x, dim=0)[-1].sum(),
    "running sums": lambda x: (x.cumsum(1).tanh() * RAMP).sum() + x.logcumsumexp(1).sum(),
    "three in one einsum": lambda x: torch.einsum("ij,kj,lj->ikl", x, x.tanh(), x.exp()).sum(),
    "four in one einsum": lambda x: torch.einsum("ij,jk,kl,lm->im", x[:, :4], x[:, :4].sin(), x[:, 2:], x[:, :4]).sum(),
    "two and a weight": lambda x: torch.einsum("ij,j,ij->i", x, RAMP, x.exp()).sum(),
    "bilinear": lambda x: F.bilinear(x, x.tanh(), _weight, RAMP[:3]).square().sum(),
    "two-input layer": lambda x: _bilinear(x, x.exp()).sum(),
    "addcmul": lambda x: torch.addcmul(x, x.exp(), x.tanh(), value=0.5).sum(),
    "addcdiv": lambda x: torch.addcdiv(x, x.tanh(), 1 + x.exp(), value=2).sum(),
    "addcdiv in place": lambda x: x.clone().addcdiv_(x.tanh(), 1 + x.exp()).sum(),
    "addmm": lambda x: (torch.addmm(x[:, :4], x, x.T, beta=0.5) + torch.addmv(x[:, 0], x, x[0])).sum(),
    "inner and outer": lambda x: torch.outer(x[0], x[1]).tanh().sum() + x[2].dot(x[3]) + torch.inner(x, x).sum(),
    "tensordot": lambda x: torch.tensordot(x, x.exp(), dims=([1], [1])).sum() + torch.kron(x[:2], x[2:]).sum(),
    "cross product": lambda x: torch.linalg.cross(x[:, :3], x[:, 3:].exp(), dim=1).sum(),
    "matrix from the right": lambda x: (x.T.__rmatmul__(x)).tanh().sum(),
    "logsumexp over two axes": lambda x: torch.logsumexp(3 * x, (0, 1)) + x.view(2, 2, 6).logsumexp((0, 2)).sum(),
    "logsumexp by keyword": lambda x: torch.logsumexp(x, dim=(0,), keepdim=True).square().sum(),
    "powers of what moves": lambda x: (1 + x.exp()).pow(x.tanh()).sum() + (2 ** x.sin()).sum(),
    "angles": lambda x: torch.atan2(x, x.flip(1).exp()).sum() + torch.hypot(x, x.flip(0)).sum(),
    "logaddexp": lambda x: torch.logaddexp(x, x.flip(0)).sum() + torch.xlogy(x.exp(), 1 + x.square()).sum(),
    "bounds that move": lambda x: x.clamp(x.flip(1) - 1, x.flip(1).exp()).sum() + x.clamp(min=x[:1]).square().sum(),
    "larger and smaller": lambda x: (torch.fmax(x, x.flip(0)) * torch.minimum(x, x.flip(1))).sum(),
    "sampling at a grid": lambda x: F.grid_sample(
        x.view(1, 1, 4, 6).exp(), x[:, :2].tanh().view(1, 2, 2, 2), align_corners=True
    ).sum(),
    "determinants": lambda x: (x[:, :4] + 3 * torch.eye(4)).det() + (x[:, 2:] + 9 * torch.eye(4)).inverse().sum(),
    "sizes of frequencies": lambda x: (torch.fft.rfft(x, dim=1).abs() * RAMP[:4]).sum(),
    "filter by frequency": lambda x: torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(x.exp()), n=6).square().sum(),
    "activations": lambda x: sum(f(x).sum() for f in (torch.atan, torch.erfc, torch.sinc, torch.cosh, F.tanhshrink)),
    "by keyword": lambda x: (torch.exp(input=x) * F.softmin(input=x, dim=1)).sum(),
    "with a place for it": lambda x: (torch.mul(x, x.exp(), out=torch.empty(0, dtype=x.dtype)) + x.sin()).sum(),
    "unfolded": lambda x: F.unfold(x.view(1, 1, 4, 6), 2).square().sum() + F.interpolate(x[None], 9).exp().sum(),
}  # fmt: skip

torch.manual_seed(0)
_weight = nn.Parameter(torch.randn(3, 6, 6, dtype=torch.float64))
_bilinear = nn.Bilinear(6, 6, 2).double()


@pytest.fixture(autouse=True)
def _in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", NORMS | SEVERAL)
def test_the_parts_add_up_through(name, pair):
    function = (NORMS | SEVERAL)[name]
    x, x0 = PAIRS[pair]
    assert missed(function, x, x0) < EXACT


@pytest.mark.parametrize("name", NORMS | SEVERAL)
def test_what_comes_out_is_what_always_does(name):
    function = (NORMS | SEVERAL)[name]
    x, x0 = PAIRS["unrelated"]
    _, after, before, _ = held(function, x, x0)
    with torch.no_grad():
        assert float(after) == pytest.approx(float(function(x)), rel=1e-12)
        assert float(before) == pytest.approx(float(function(x0)), rel=1e-12)


# By hand -------------------------------------------------------------------------------------------------------------


def test_a_length_is_shared_out_by_the_sums_of_both_ends():
    # |(3, 4)| − |(0, 0)| = 5: (3 + 0) · 3/5 and (4 + 0) · 4/5
    m, *_ = held(lambda x: x.norm(), numbers(3, 4), numbers(0, 0))
    assert (m * numbers(3, 4)).tolist() == pytest.approx([1.8, 3.2])


def test_a_channel_that_is_still_in_both_counts_for_nothing_and_one_that_wakes_for_its_deviation():
    x, x0 = numbers(1, 1, 1, 3), numbers(2, 2, 2, 2)
    m, *_ = held(lambda x: x.std(correction=0), x, x0)
    # deviations −½, −½, −½, 3/2 of a mean of 3/2: √(3/4), all of it from them: m = (Δ from the mean)/(4 · √(3/4))
    assert m.tolist() == pytest.approx([d / (4 * 0.75**0.5) for d in (-0.5, -0.5, -0.5, 1.5)])
    m, *_ = held(lambda x: x.std(), numbers(1, 1), numbers(2, 2))
    assert m.tolist() == [0, 0]


def test_three_factors_from_nothing_get_a_third_each():
    # 2 · 3 · 4 − 0: what Shapley gives to each of three that are all needed
    m, *_ = held(lambda x: x.prod(), numbers(2, 3, 4), numbers(0, 0, 0))
    assert (m * numbers(2, 3, 4)).tolist() == pytest.approx([8, 8, 8])
