"""Attention is read as it is, beside the call that makes it, and laid over the picture where its tokens came from."""

import copy
import math
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tolerance import close, rounding
from torch import nn

import explainers as ex
from explainers.errors import DoesNotApply, QuestionError
from explainers.pictures import Framing
from explainers.trace.attention import attention_over, attention_rows, attention_slopes, hold, silenced

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
FRAMING = Framing(size=(32, 48), mode="squash")
ROWS, COLUMNS = 4, 6  # patches of 8 × 8 pixels
NEAR = rounding(1000, 1, torch.float64)
"""Of numbers about 1, after a patch of 192 numbers and up to three layers of fewer than 250 operations in a row."""


class Tokens(nn.Module):
    """Patches and `first` tokens, two layers of attention as `attend` writes it, and a head that reads `read`."""

    def __init__(self, attend, first=1, read=slice(0, 1), width=12, last=False):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, stride=8)
        self.first, self.last, self.read, self.attend = nn.Parameter(torch.randn(1, first, width)), last, read, attend
        self.place = nn.Parameter(torch.randn(1, ROWS * COLUMNS + first, width) / 3)
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(2))
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).mT
        parts = [self.first.expand(len(x), -1, -1), x]
        x = torch.cat(parts[::-1] if self.last else parts, 1) + self.place
        for qkv, out in zip(self.qkv, self.out, strict=True):
            q, k, v = qkv(x).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
            x = x + out(self.attend(q, k, v).transpose(1, 2).flatten(2))
        return self.head(x[:, self.read].mean(1))


def fused(q, k, v):
    return F.scaled_dot_product_attention(q, k, v)


def spelled(q, k, v):
    return (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v


def with_bias(q, k, v):
    bias = torch.linspace(-1, 1, q.shape[-2] * k.shape[-2]).to(q).view(1, 1, q.shape[-2], k.shape[-2])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=0.2)


def masked(q, k, v):
    seen = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril(3)
    return F.scaled_dot_product_attention(q, k, v, seen)


def einsummed(q, k, v):
    scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(q.shape[-1])
    return torch.einsum("bhij,bhjd->bhid", F.dropout(F.softmax(scores, -1), 0.1, training=False), v)


def talking(q, k, v):
    heads = torch.tensor([[0.9, 0.2], [0.1, 0.8]]).to(q)
    mixed = ((q @ k.mT).permute(0, 2, 3, 1) @ heads).permute(0, 3, 1, 2).softmax(-1)
    return (mixed.permute(0, 2, 3, 1) @ heads).permute(0, 3, 1, 2) @ v


def wrapped(module, name="tiny", framing=FRAMING):
    return ex.wrap(module.double().eval(), framing=framing, name=name)


def tokens(*args, **kwargs):
    torch.manual_seed(0)
    return wrapped(Tokens(*args, **kwargs))


def matrices(model, trace):
    """What `Tokens` attends with, from its weights: (layers, heads, tokens, tokens)."""
    module, found = model.module, []

    def attend(q, k, v):
        found.append(torch.softmax(torch.einsum("hid,hjd->hij", q[0], k[0]) / math.sqrt(q.shape[-1]), -1))
        return fused(q, k, v)

    plain = copy.copy(module)
    plain.attend = attend
    with torch.no_grad():
        plain(model.framing.normalize(trace.pixels)[None])
    return torch.stack(found)


# What is read --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attend", [fused, spelled, einsummed])
@pytest.mark.parametrize(("first", "last"), [(1, False), (3, False), (2, True)])
def test_it_is_the_softmax_of_queries_and_keys_wherever_the_first_tokens_stand(attend, first, last):
    model = tokens(attend, first, slice(-1, None) if last else slice(0, 1), last=last)
    trace = ex.look(model, PICTURE)
    by_hand = matrices(model, trace)
    assert [layer.grid for layer in model.anatomy.attention] == [(ROWS, COLUMNS)] * 2
    assert [(layer.heads, layer.prefix, layer.windows) for layer in model.anatomy.attention] == [(2, first, 1)] * 2
    asked, patches = (-1, slice(0, -first)) if last else (0, slice(first, None))
    others = slice(-first, None) if last else slice(0, first)
    for layer, row in enumerate(attention_rows(trace)):
        expected = by_hand[layer][:, asked]
        assert close(row.maps.flatten(1), expected[:, patches], NEAR)
        assert close(row.rest, expected[:, others], NEAR)
    cell = attention_rows(trace, [-1], query=(2, 4))[0]
    number = 2 * COLUMNS + 4 + (0 if last else first)
    assert close(cell.maps.flatten(1), by_hand[-1][:, number, patches], NEAR)
    mean = attention_rows(trace, [0], query="patches")[0]
    assert close(mean.maps.flatten(1), by_hand[0][:, patches, patches].mean(1), NEAR)


@pytest.mark.parametrize("attend", [fused, spelled, einsummed, with_bias, masked, talking])
def test_rows_add_up_to_one_and_no_bit_of_the_logits_changes(attend):
    model = tokens(attend)
    trace, plain = ex.look(model, PICTURE), ex.look(model, PICTURE)
    for query in ("read", "patches", (0, 0)):
        for row in attention_rows(trace, query=query):
            assert row.maps.min() >= 0
            assert close(row.maps.sum((1, 2)) + row.rest.sum(1), torch.ones(2).double(), NEAR)
    assert torch.equal(trace.logits, plain.logits)
    assert torch.equal(trace.maps("last"), plain.maps("last"))


def test_a_mask_and_a_scale_of_its_own_are_heeded():
    biased = ex.look(tokens(with_bias), PICTURE)
    bias = torch.linspace(-1, 1, 25 * 25).double().view(25, 25)

    def matrix(seen):
        q, k = seen.tensors[:2]
        return seen.matrix()[0], torch.softmax(torch.einsum("hid,hjd->hij", q[0], k[0]) * 0.2 + bias, -1)

    for read, by_hand in attention_over(biased, matrix):
        assert close(read, by_hand, NEAR)
    row = attention_rows(ex.look(tokens(masked), PICTURE), [0], query=(0, 1))[0]
    assert not row.maps.flatten(1)[:, 5:].any()  # token 2 sees tokens up to 5, the class token among them
    assert row.maps.flatten(1)[:, :5].all()


def test_what_the_scores_are_read_from_is_found():
    assert tokens(fused, 1).anatomy.pooled == (0,)
    assert tokens(fused, 3, slice(0, 2)).anatomy.pooled == (0, 1)  # as DeiT, distilled, with a register behind
    assert tokens(fused, 2, slice(2, None)).anatomy.pooled == ()  # the mean over the patches
    model = tokens(fused, 2, slice(2, None))
    trace = ex.look(model, PICTURE)
    assert torch.equal(attention_rows(trace)[0].maps, attention_rows(trace, query="patches")[0].maps)


# How it lies over the picture ----------------------------------------------------------------------------------------


class Windows(nn.Module):
    """Attention in windows of 2 × 2 of a 4 × 6 grid, shifted by `shift` as Swin does it, without its mask."""

    def __init__(self, shift, merged=False):
        super().__init__()
        self.patches, self.qkv, self.head = nn.Conv2d(3, 8, 8, stride=8), nn.Linear(8, 24), nn.Linear(8, 5)
        self.shift, self.merged = shift, merged

    def forward(self, x):
        x = self.patches(x).permute(0, 2, 3, 1)
        y = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        y = y.view(len(x), 2, 2, 3, 2, 8).transpose(2, 3).reshape(-1, 4, 8)
        q, k, v = self.qkv(y).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        if self.merged:
            y = torch.bmm(torch.softmax(torch.bmm(*(q.flatten(0, 1), k.flatten(0, 1).mT)), -1), v.flatten(0, 1))
            y = y.view(q.shape)
        else:
            y = (q @ k.mT).softmax(-1) @ v
        y = y.transpose(1, 2).reshape(len(x), 2, 3, 2, 2, 8).transpose(2, 3).reshape(x.shape)
        x = x + torch.roll(y, (self.shift, self.shift), (1, 2))
        return self.head(x.mean((1, 2)))


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("shift", [0, 1])
def test_windows_are_put_together_and_shifted_back(shift, merged):
    torch.manual_seed(0)
    model = wrapped(Windows(shift, merged))
    (layer,) = model.anatomy.attention
    assert (layer.windows, layer.heads, layer.grid) == (6, 2, (4, 6))
    trace = ex.look(model, PICTURE)
    with torch.no_grad():
        x = model.module.patches(model.framing.normalize(trace.pixels)[None])[0].permute(1, 2, 0)  # (4, 6, 8)
        q, k, _ = model.module.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 3, 0, 1, 4)  # (2, 4, 6, 4) each
    for cell in ((0, 0), (1, 2), (3, 5)):
        together = [
            (r, c)
            for r in range(4)
            for c in range(6)
            if ((r - shift) % 4 // 2, (c - shift) % 6 // 2) == ((cell[0] - shift) % 4 // 2, (cell[1] - shift) % 6 // 2)
        ]
        scores = torch.stack([torch.einsum("hd,hd->h", q[:, cell[0], cell[1]], k[:, r, c]) for r, c in together], 1)
        row = attention_rows(trace, query=cell)[0].maps
        expected = torch.zeros(2, 4, 6).double()
        for (r, c), share in zip(together, scores.softmax(1).T, strict=True):
            expected[:, r, c] = share
        assert close(row, expected, NEAR)


class Coarse(nn.Module):
    """Keys and values on a grid of half the size, as PVT has them, and a latent query that pools, as SigLIP has one."""

    def __init__(self):
        super().__init__()
        self.patches, self.fewer = nn.Conv2d(3, 8, 8, stride=8), nn.Conv2d(8, 8, 2, stride=2)
        self.head = nn.Linear(8, 5)
        self.q, self.kv, self.latent = nn.Linear(8, 8), nn.Linear(8, 16), nn.Parameter(torch.randn(1, 1, 8))

    def forward(self, x):
        x = self.patches(x)
        q = self.q(x.flatten(2).mT).unflatten(-1, (2, 4)).transpose(1, 2)
        k, v = self.kv(self.fewer(x).flatten(2).mT).unflatten(-1, (2, 2, 4)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        latent = self.q(self.latent.expand(len(y), -1, -1))
        return self.head(((latent @ y.mT).softmax(-1) @ y)[:, 0])


def test_coarser_keys_and_a_query_without_a_place():
    torch.manual_seed(0)
    model = wrapped(Coarse())
    first, pooling = model.anatomy.attention
    assert (first.grid, first.key_grid, first.heads) == ((4, 6), (2, 3), 2)
    assert (pooling.grid, pooling.key_grid, pooling.heads, pooling.prefix) == (None, (4, 6), 1, 1)
    trace = ex.look(model, PICTURE)
    assert attention_rows(trace, [0], query=(3, 5))[0].maps.shape == (2, 2, 3)
    assert attention_rows(trace, [1])[0].maps.sum() == pytest.approx(1, abs=NEAR)
    with pytest.raises(QuestionError, match="only the class token"):
        attention_rows(trace, [1], query=(0, 0))


@pytest.mark.parametrize("weights", [False, True])
def test_torchs_own_layers_are_read_with_their_fast_path(weights):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches, self.head = nn.Conv2d(3, 8, 8, stride=8), nn.Linear(8, 5)
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            x = self.layer(self.patches(x).flatten(2).mT)
            return self.head((x + self.attention(x, x, x, need_weights=weights)[0]).mean(1))

    torch.manual_seed(0)
    model = wrapped(Own())
    assert [(layer.heads, layer.grid, layer.windows) for layer in model.anatomy.attention] == [(2, (4, 6), 1)] * 2
    trace = ex.look(model, PICTURE)
    row = attention_rows(trace, [1], query=(1, 1))[0].maps.mean(0).flatten()
    with torch.no_grad():
        x = model.module.layer(model.module.patches(model.framing.normalize(trace.pixels)[None]).flatten(2).mT)
        expected = model.module.attention(x, x, x, need_weights=True)[1][0, 7]
    assert close(row, expected, NEAR)
    assert torch.equal(trace.logits, ex.look(model, PICTURE).logits)


def test_vit_of_transformers_agrees_with_its_eager_attentions():
    import transformers

    sizes = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
    config = transformers.ViTConfig(**sizes, image_size=32, patch_size=8, num_labels=5)
    torch.manual_seed(0)
    network = transformers.ViTForImageClassification(config).eval()

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x).logits

    model = wrapped(Logits(), framing=Framing(size=(32, 32)))
    trace = ex.look(model, PICTURE)
    read = [seen.matrix() for seen in attention_over(trace, lambda seen: seen.kept())]
    eager = copy.deepcopy(network)
    eager.set_attn_implementation("eager")
    with torch.no_grad():
        told = eager(model.framing.normalize(trace.pixels)[None], output_attentions=True).attentions
    assert len(told) == len(read) == 3
    for one, other in zip(read, told, strict=True):
        assert close(one, other, rounding(20))  # eager attention has its softmax, here of 17, in single precision


def test_linear_attention_and_convolutions_say_what_they_lack():
    def linear(q, k, v):
        return q.softmax(-1) @ (k.softmax(-2).mT @ v)

    def between_channels(q, k, v):
        return ((q.mT @ k).softmax(-1) @ v.mT).mT

    for attend in (linear, between_channels):
        model = tokens(attend)
        assert model.anatomy.attention == ()
        with pytest.raises(DoesNotApply, match="without a matrix of tokens"):
            attention_rows(ex.look(model, PICTURE))
    convolutions = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(DoesNotApply, match="no attention of one patch to another"):
        attention_rows(ex.look(wrapped(convolutions), PICTURE))


# What it takes -------------------------------------------------------------------------------------------------------


def test_one_pass_serves_all_layers_and_rows_are_kept_without_the_rest():
    model = tokens(fused)
    trace = ex.look(model, PICTURE)
    rows = attention_rows(trace)
    assert (trace.spent.forwards, trace.spent.backwards) == (1, 0)
    attention_rows(trace, [0])
    trace.top()
    assert trace.spent.forwards == 1  # remembered, and the logits came with it
    assert sum(t.untyped_storage().nbytes() for row in rows for t in row) <= 8 * 2 * 2 * (ROWS * COLUMNS + 2)
    hold(trace)
    attention_rows(trace, query=(1, 2))
    attention_rows(trace, query="patches")
    assert trace.spent.forwards == 2  # one to hold it, none for any row after that


def test_a_cell_or_a_layer_that_is_not_there_is_refused_in_words():
    trace = ex.look(tokens(fused), PICTURE)
    with pytest.raises(QuestionError, match=r"4 × 6 patches.*\(4, 0\)"):
        attention_rows(trace, query=(4, 0))
    with pytest.raises(QuestionError, match="layers 0 to 1"):
        attention_rows(trace, [2])
    assert torch.equal(attention_rows(trace, [-1])[0].maps, attention_rows(trace, [1])[0].maps)


def test_a_neighbors_pass_is_not_seen():
    model = tokens(fused)
    one, other = ex.look(model, PICTURE), ex.look(model, PICTURE[::-1])
    alone = attention_rows(ex.look(model, PICTURE))
    busy = threading.Thread(target=lambda: [other.score(other.pixels[None]) for _ in range(30)])
    busy.start()
    rows = attention_rows(one)
    busy.join()
    assert all(torch.equal(a.maps, b.maps) for a, b in zip(alone, rows, strict=True))


# Slopes and silenced heads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attend", [fused, spelled, with_bias])
def test_slopes_at_the_matrix_are_those_of_a_graph_that_has_it(attend):
    model = tokens(attend)
    trace = ex.look(model, PICTURE)
    by_hand = []

    def attended(q, k, v):
        if attend is with_bias:
            bias = torch.linspace(-1, 1, 25 * 25).to(q).view(1, 1, 25, 25)
            by_hand.append(((q * 0.2) @ k.mT + bias).softmax(-1))
        else:
            by_hand.append((q * q.shape[-1] ** -0.5 @ k.mT).softmax(-1))
        return by_hand[-1] @ v

    plain = copy.copy(model.module)
    plain.attend = attended
    logits = plain(model.framing.normalize(trace.pixels)[None])[0]
    score = logits[trace.class_index] - logits.mean()
    expected = torch.autograd.grad(score, by_hand)
    fresh = ex.look(model, PICTURE)
    got = list(attention_slopes(fresh))
    for (layer, matrix, slopes), own, slope in zip(got, by_hand, expected, strict=True):
        assert layer.heads == 2
        assert close(matrix[0], own[0], NEAR)
        assert close(slopes[0], slope[0], NEAR)
    assert (fresh.spent.forwards, fresh.spent.backwards) == (1, 1)
    assert all(p.grad is None for p in model.module.parameters())


@pytest.mark.parametrize("attend", [fused, spelled])
def test_a_silenced_head_is_one_whose_output_weights_are_zero(attend):
    model = tokens(attend)
    trace = ex.look(model, PICTURE)
    for layer in (0, 1):
        for head in (0, 1):
            cut = copy.deepcopy(model.module)
            with torch.no_grad():
                cut.out[layer].weight[:, 6 * head : 6 * head + 6] = 0
                logits = cut(model.framing.normalize(trace.pixels)[None])[0]
            expected = float(logits[trace.class_index] - logits.mean())
            without = trace.asked.of(trace.run(graph=False, under=silenced(trace, layer, head)).output[0])
            assert float(without) == pytest.approx(expected, abs=NEAR)
    with pytest.raises(QuestionError, match="heads 0 to 1"):
        silenced(trace, 0, 2)
