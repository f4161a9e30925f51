"""What is made of attention, worked out another way: rollout, GenAtt, LeGrad, Grad-SAM, means and silenced heads."""

import copy
import math

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from tolerance import close, rounding
from torch import nn

import explainers as ex
from explainers.errors import DoesNotApply, QuestionError
from explainers.ingredients.attending import squared
from explainers.pictures import Framing

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
FRAMING = Framing(size=(32, 48), mode="squash")
GRID = (4, 6)
NEAR = rounding(1)
"""The networks are in double precision, maps are told in single, and no number compared here is above 1."""


class Transformer(nn.Module):
    """Patches of 8 × 8, a class token, and blocks of attention; `matrices` holds what the last pass attended with."""

    def __init__(self, depth=2, width=12, pooled=False):
        super().__init__()
        self.patches, self.first = nn.Conv2d(3, width, 8, stride=8), nn.Parameter(torch.randn(1, 1, width))
        self.place = nn.Parameter(torch.randn(1, 25, width) / 3)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.norm, self.head, self.pooled = nn.LayerNorm(width), nn.Linear(width, 5), pooled

    def tokens(self, x):
        return torch.cat([self.first.expand(len(x), -1, -1), self.patches(x).flatten(2).mT], 1) + self.place

    def read(self, x):
        x = self.norm(x)
        return self.head(x[:, 1:].mean(1) if self.pooled else x[:, 0])

    def forward(self, x):
        return self.read(self.blocks(self.tokens(x)))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.spelled, self.matrix = False, None

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        if self.spelled:
            self.matrix = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
            y = self.matrix @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(y.transpose(1, 2).flatten(2))


def network(**kwargs):
    torch.manual_seed(0)
    return ex.wrap(Transformer(**kwargs).double().eval(), framing=FRAMING, name="tiny")


def spelled(model):
    """A copy whose attention is a tensor in the graph, and the picture as it is fed."""
    module = copy.deepcopy(model.module)
    for block in module.blocks:
        block.spelled = True
    return module, model.framing.normalize(ex.look(model, PICTURE).pixels)[None]


def with_matrices(model, index):
    """The matrices (heads, 25, 25) of all layers, and the slopes of the centered logit of a class there."""
    module, fed = spelled(model)
    logits = module(fed)[0]
    matrices = [block.matrix for block in module.blocks]
    slopes = torch.autograd.grad(logits[index] - logits.mean(), matrices)
    return [m.detach()[0] for m in matrices], [s[0] for s in slopes]


# Rollout -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["mean", "min", "max"])
@pytest.mark.parametrize("pooled", [False, True])
def test_rollout_is_the_product_of_all_layers_with_rows_that_add_up_to_one(fusion, pooled):
    model = network(depth=3, pooled=pooled)
    matrices, _ = with_matrices(model, 0)
    product = torch.eye(25).double()
    for matrix in matrices:
        together = {"mean": matrix.mean, "min": matrix.amin, "max": matrix.amax}[fusion](0)
        step = (together / together.sum(1, keepdim=True) + torch.eye(25).double()) / 2
        assert close(step.sum(1), torch.ones(25).double(), NEAR)
        product = step @ product
    assert close(product.sum(1), torch.ones(25).double(), NEAR)
    expected = (product[1:].mean(0) if pooled else product[0])[1:].reshape(GRID)
    heat = ex.explain(ex.look(model, PICTURE), "attention_rollout", fusion=fusion).native
    assert close(heat, expected, NEAR)


def test_rollout_of_one_layer_has_a_closed_form_and_none_of_it_is_only_the_token_itself():
    model = network(depth=1)
    (matrix,), _ = with_matrices(model, 0)
    trace = ex.look(model, PICTURE)
    heat = ex.explain(trace, "attention_rollout", residual=0.25).native
    assert close(heat, 0.75 * matrix.mean(0)[0, 1:].reshape(GRID), NEAR)
    assert ex.explain(trace, "attention_rollout", residual=1.0).blank


def test_rollout_drops_the_weakest_connections_and_keeps_those_of_the_class_token():
    model = network(depth=1)
    (matrix,), _ = with_matrices(model, 0)
    mean = matrix.mean(0)
    threshold = mean[:, 1:].flatten().sort().values[int(0.9 * 25 * 24) - 1]
    kept = mean.clone()
    kept[:, 1:] *= mean[:, 1:] > threshold
    expected = 0.5 * (kept / kept.sum(1, keepdim=True))[0, 1:].reshape(GRID)
    assert close(ex.explain(ex.look(model, PICTURE), "attention_rollout", discard=0.9).native, expected, NEAR)


def test_even_attention_drives_rollout_to_an_even_map():
    model = network(depth=6)
    with torch.no_grad():
        for block in model.module.blocks:
            block.qkv.weight.zero_()
            block.qkv.bias.zero_()
    heat = ex.explain(ex.look(model, PICTURE), "attention_rollout").native
    assert np.ptp(heat) <= NEAR
    assert float(heat.sum()) == pytest.approx((1 - 0.5**6) * 24 / 25, abs=NEAR)


# GenAtt, Grad-SAM, LeGrad --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooled", [False, True])
def test_gen_att_grows_by_what_raises_the_class(pooled):
    model = network(depth=3, pooled=pooled)
    for index in (0, 3):
        matrices, slopes = with_matrices(model, index)
        relevance = torch.eye(25).double()
        for matrix, slope in zip(matrices, slopes, strict=True):
            relevance = relevance + (matrix * slope).clamp_min(0).mean(0) @ relevance
        assert (relevance >= 0).all()
        own = relevance - torch.eye(25).double()
        expected = (own[1:].mean(0) if pooled else own[0])[1:].reshape(GRID)
        e = ex.explain(ex.look(model, PICTURE), "gen_att", target=index)
        assert close(e.native, expected, NEAR)
        assert (e.spent.forwards, e.spent.backwards) == (1, 1)


def test_gen_att_is_blank_where_no_attention_matters_and_says_so():
    model = network()
    with torch.no_grad():
        for block in model.module.blocks:
            block.out.weight.zero_()
    e = ex.explain(ex.look(model, PICTURE), "gen_att")
    assert e.blank
    assert any("zero everywhere" in note for note in e.notes)


def test_two_classes_have_two_maps_of_gen_att_and_one_of_rollout():
    model, rng = network(depth=3), np.random.default_rng(1)
    other = 0
    for _ in range(10):
        trace = ex.look(model, rng.integers(0, 256, (32, 48, 3), np.uint8))
        one, two = (ex.explain(trace, "gen_att", target=i).native.ravel() for i in (0, 1))
        ranks = [np.argsort(np.argsort(each)) for each in (one, two)]
        other += np.corrcoef(*ranks)[0, 1] < 0.99
        maps = [ex.explain(trace, "attention_rollout", target=i).native for i in (0, 1)]
        assert np.array_equal(*maps)
    # Unrelated orders of 24 cells correlate by 0 ± 1/√23, so .99 is out of chance's reach; one in ten may agree for a
    # reason. A map that did not depend on the class would be the same in all ten.
    assert other >= 9


def test_grad_sam_is_the_mean_of_attention_where_more_of_it_raises_the_class():
    model = network()
    matrices, slopes = with_matrices(model, 2)
    each = [(m * s.clamp_min(0)).mean((0, 1))[1:] for m, s in zip(matrices, slopes, strict=True)]
    heat = ex.explain(ex.look(model, PICTURE), "grad_sam", target=2).native
    assert close(heat, torch.stack(each).mean(0).reshape(GRID), NEAR)


@pytest.mark.parametrize("pooled", [False, True])
def test_le_grad_reads_the_score_behind_each_block(pooled):
    model = network(depth=3, pooled=pooled)
    module, fed = spelled(model)
    model.module.requires_grad_(not pooled)  # parameters that need no slopes are no reason to stop
    x, each = module.tokens(fed), []
    for block in module.blocks:
        x = block(x.detach())
        logits = module.read(x)[0]
        (slope,) = torch.autograd.grad(logits[1] - logits.mean(), block.matrix, retain_graph=True)
        each.append(slope.clamp_min(0).mean((0, 1, 2))[1:])
    trace = ex.look(model, PICTURE)
    e = ex.explain(trace, "le_grad", target=1)
    assert close(e.native, torch.stack(each).mean(0).reshape(GRID), NEAR)
    assert torch.equal(trace.logits, ex.look(model, PICTURE).logits)


def test_le_grad_of_a_network_that_draws_is_that_of_one_that_does_not():
    class Drawing(Transformer):
        def tokens(self, x):
            return super().tokens(x) + 0 * torch.rand(1)

    torch.manual_seed(0)
    model = ex.wrap(Drawing().double().eval(), framing=FRAMING, name="drawing")
    heats = [ex.explain(ex.look(each, PICTURE), "le_grad", target=1).native for each in (model, network())]
    assert close(*heats, NEAR)


@pytest.mark.parametrize("pooled", [False, True])
def test_att_cat_weighs_evidence_by_attention_after_each_block(pooled):
    model = network(depth=3, pooled=pooled)
    module, fed = spelled(model)
    x, tokens, rows = module.tokens(fed), [], []
    for block in module.blocks:
        x = block(x)
        tokens.append(x)
        rows.append((block.matrix[0, :, 1:].mean((0, 1)) if pooled else block.matrix[0, :, 0].mean(0))[1:])
    logits = module.read(x)[0]
    slopes = torch.autograd.grad(logits[1] - logits.mean(), tokens)
    each = [row * (t * s)[0, 1:].sum(1) for row, t, s in zip(rows, tokens, slopes, strict=True)]
    heat = ex.explain(ex.look(model, PICTURE), "att_cat", target=1).native
    assert close(heat, torch.stack(each).sum(0).detach().reshape(GRID), NEAR)


def test_patches_that_stand_out_are_named():
    model = network()
    with torch.no_grad():
        model.module.place[0, 1 + 2 * 6 + 3] = 40.0
    e = ex.explain(ex.look(model, PICTURE), "token_norms", depth="early")
    assert e.native.argmax() == 2 * 6 + 3
    assert any("1 of 24 stand out" in note and "(2, 3)" in note for note in e.notes)


@pytest.mark.parametrize("method", ["le_grad", "att_cat", "gen_att", "grad_sam", "attention_rollout", "attention_mean"])
def test_patches_that_are_permuted_together_with_their_places_permute_the_map(method):
    model, moved = network(), network()
    order = torch.randperm(24, generator=torch.Generator().manual_seed(3))

    class Shuffled(Transformer):
        def tokens(self, x):
            x = super().tokens(x)
            return torch.cat([x[:, :1], x[:, 1:][:, order]], 1)

    moved.module.__class__ = Shuffled
    heat, other = (ex.explain(ex.look(m, PICTURE), method, target=1).native for m in (model, moved))
    rewrapped = ex.wrap(moved.module, framing=FRAMING, name="moved")
    placed = ex.explain(ex.look(rewrapped, PICTURE), method, target=1).native
    assert close(heat.ravel()[order], other.ravel(), NEAR)  # read in the order of the tokens
    assert close(heat, placed, NEAR)  # read where the tokens came from


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_networks_in_other_precisions_are_answered_alike(dtype):
    torch.manual_seed(0)
    other = ex.wrap(Transformer(depth=3).eval().to(dtype), framing=FRAMING, name="tiny")
    for fit in ex.methods(other):
        if fit.method.family == "Attention":
            assert fit.applies
            one, two = (
                ex.explain(ex.look(m, PICTURE), fit.method.id, target=1).result for m in (network(depth=3), other)
            )
            assert two.finite
            if fit.method.lays_heat:
                near = 0.15 if dtype is torch.bfloat16 else 1e-4
                assert close(one.heat, two.heat, near * np.abs(one.heat).max())


# Means, heads, layers ------------------------------------------------------------------------------------------------


def test_attention_is_asked_about_as_one_would_guess():
    model = network()
    matrices, _ = with_matrices(model, 0)
    trace = ex.look(model, PICTURE)
    e = ex.explain(trace, "attention", layer=-1, head=1, query=(2, 4))
    assert close(e.native, matrices[-1][1, 1 + 2 * 6 + 4, 1:].reshape(GRID), NEAR)
    assert close(ex.explain(trace, "attention").native, matrices[-1].mean(0)[0, 1:].reshape(GRID), NEAR)
    received = ex.explain(trace, "attention", layer=0, head=0, query=(2, 4), direction="received").native
    assert close(received, matrices[0][0, 1:, 1 + 2 * 6 + 4].reshape(GRID), NEAR)
    assert any("class token" in note for note in e.notes)  # how much goes there
    assert any("There are 2 layers" in note for note in ex.explain(trace, "attention", layer=9).notes)
    with pytest.raises(QuestionError, match="4 × 6 patches"):
        ex.explain(trace, "attention", query=(4, 0))


def test_tiles_hold_every_head_of_a_layer_or_every_layer():
    model = network(depth=3)
    matrices, _ = with_matrices(model, 0)
    rows = torch.stack(matrices)[:, :, 1 + 2 * 6 + 4, 1:].reshape(3, 2, *GRID)
    trace = ex.look(model, PICTURE)
    heads = ex.explain(trace, "attention_tiles", layer=1, query=(2, 4)).result.tiles
    assert close([tile.values for tile in heads], rows[1], NEAR)
    assert [tile.value for tile in heads] == pytest.approx(rows[1].sum((1, 2)).tolist(), abs=NEAR)
    layers = ex.explain(trace, "attention_tiles", across="layers", query=(2, 4)).result.tiles
    assert close([tile.values for tile in layers], rows.mean(1), NEAR)


def test_the_mean_over_heads_and_layers_with_weights():
    model = network(depth=3)
    matrices, slopes = with_matrices(model, 1)
    rows = torch.stack(matrices)[:, :, 0, 1:].reshape(3, 2, *GRID)  # (layers, heads, h, w)
    trace = ex.look(model, PICTURE)

    def heat(**options):
        return ex.explain(trace, "attention_mean", target=1, **options).native

    assert close(heat(), rows.mean((0, 1)), NEAR)
    assert close(heat(first=1, last=1, head_weights=(0.0, 1.0)), rows[1, 1], NEAR)
    expected = (0.5 * rows[0] + rows[2]).mean(0) / 1.5
    assert close(heat(layer_weights=(0.5, 0.0, 1.0)), expected, NEAR)
    assert close(heat(by="maximum"), rows.amax(1).mean(0), NEAR)
    sure = torch.stack([m.amax(-1).mean(1) for m in matrices])
    sure = sure / sure.sum(1, keepdim=True)
    assert close(heat(by="confidence"), torch.einsum("lh,lhyx->yx", sure, rows) / 3, NEAR)
    counts = torch.stack([(m * s).sum((1, 2)).abs() for m, s in zip(matrices, slopes, strict=True)])
    weighted = torch.einsum("lh,lhyx->yx", counts / counts.sum(), rows)
    assert close(ex.explain(trace, "attention_weighted", target=1).native, weighted, NEAR)


def test_heads_are_added_up_with_weights_of_ones_own():
    model = network(depth=3)
    matrices, _ = with_matrices(model, 1)
    rows = torch.stack(matrices)[:, :, 0, 1:].reshape(3, 2, *GRID)  # (layers, heads, h, w)
    trace = ex.look(model, PICTURE)

    def answer(*weights):
        return ex.explain(trace, "attention_by_hand", weights=weights)

    assert close(answer().native, rows.mean((0, 1)), NEAR)
    assert close(answer(0.0, 1.0).native, rows[0, 1], NEAR)
    assert close(answer(0.0, 0.0, 0.0, 0.5, 0.25, 0.0).native, 0.5 * rows[1, 1] + 0.25 * rows[2, 0], NEAR)
    assert "All weights are zero" in answer(0.0).result.note
    with pytest.raises(QuestionError, match="6 heads in 3 layers; these are 7"):
        answer(*[0.5] * 7)


def test_each_head_is_silenced_in_turn():
    model = network()
    e = ex.explain(ex.look(model, PICTURE), "silenced_heads", target=2, layer=0)
    assert (e.spent.forwards, e.spent.backwards) == (3, 0)
    for head in (0, 1):
        cut = copy.deepcopy(model.module)
        with torch.no_grad():
            cut.blocks[0].out.weight[:, 6 * head : 6 * head + 6] = 0
            fed = model.framing.normalize(ex.look(model, PICTURE).pixels)[None]
            before, after = (m(fed)[0] for m in (model.module, cut))
            worth = float((before[2] - before.mean()) - (after[2] - after.mean()))
        assert float(e.result.values[head]) == pytest.approx(worth, abs=NEAR)


def test_distance_and_entropy_of_attention_that_is_known():
    model = network(depth=1)
    with torch.no_grad():
        model.module.blocks[0].qkv.weight.zero_()
        model.module.blocks[0].qkv.bias.zero_()
    trace = ex.look(model, PICTURE)
    centers = np.stack(np.meshgrid((np.arange(4) + 0.5) / 4, (np.arange(6) + 0.5) / 6, indexing="ij"), -1).reshape(
        -1, 2
    )
    far = np.linalg.norm(centers[:, None] - centers[None], axis=-1).mean() / math.sqrt(2)
    assert ex.explain(trace, "attention_by_layer").result.lines[0].values[0] == pytest.approx(far, abs=NEAR)
    assert ex.explain(trace, "attention_by_layer", measure="entropy").result.lines[0].values[0] == pytest.approx(1)
    assert ex.explain(trace, "attention_by_layer", measure="tokens").result.lines[0].values[0] == pytest.approx(0.04)


def test_tokens_that_ask_nothing_in_a_layer_stay_as_they_are():
    layer = network().anatomy.attention[0]
    full = squared([layer], layer, torch.full((25, 25), 0.04), alone=1.0)
    assert torch.equal(full, torch.full((25, 25), 0.04))


def test_networks_in_windows_say_why_no_token_can_be_followed():
    torch.manual_seed(0)
    swin = timm.create_model(
        "swin_tiny_patch4_window7_224", num_classes=3, depths=(1, 1, 1, 1), embed_dim=12, img_size=56
    )
    model = ex.wrap(swin.eval(), framing=Framing(size=(56, 56)), name="swin")
    trace = ex.look(model, PICTURE)
    for method in ("attention_rollout", "gen_att", "le_grad"):
        with pytest.raises(DoesNotApply, match="in windows or on several grids"):
            ex.explain(trace, method)
    for method in ("attention", "attention_mean", "attention_weighted", "grad_sam"):
        assert ex.explain(trace, method).native.max() > 0


def test_alike_patches_are_one_where_the_patch_itself_lies():
    trace = ex.look(network(pooled=True), PICTURE)
    heat = ex.explain(trace, "token_similarity", query=(1, 3)).native
    assert heat[1, 3] == pytest.approx(1, abs=NEAR)
    assert heat.argmax() == 1 * 6 + 3
    tiles = ex.explain(trace, "token_colors").result.tiles
    assert tiles[0].values.shape == (4, 6, 3)
    assert sum(tile.value for tile in tiles[1:]) == pytest.approx(tiles[0].value)
