"""The class activation family: T3 and T17 to T24, by loops over every place on two real networks and by algebra."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import cifar, photo, resnet20, squeezenet
from tolerance import rounding
from torch import nn

import explainers as ex
from explainers.ingredients.directions import strongest
from explainers.methods.shapley_cam import slope_changes
from explainers.network.rules import biases
from explainers.network.rules.biases import Biases
from explainers.pictures import Framing
from explainers.trace import Target

SIDE = 32
FRAMING = Framing(size=(SIDE, SIDE), mode="squash", mean=(0.2, 0.3, 0.4), std=(0.5, 0.6, 0.7))
NOISE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)

EXACT = rounding(100_000, 1, torch.float64)
"""Networks are in double precision, and none takes so many operations in a row."""
TOLD, SUMMED = rounding(4), rounding(64)
"""A map is told in single precision: a few of them put together, and a sum over one, which may cancel."""

FAMILY = [m.id for m in ex.methods() if m.family == "Class activation"]


def frog():
    return ex.look(resnet20(torch.float64), cifar("frog", 3))


def tabby():
    return ex.look(squeezenet(torch.float64), photo("tabby"))


each_network = pytest.mark.parametrize("look", [frog, tabby], ids=["resnet20", "squeezenet"])


def read(trace, weights=None):
    """Maps and slopes (K, h, w) of the winning class's centered logit, by a hook of one's own; in double precision."""
    module, kept = trace.classifier.module, []
    site = module.get_submodule(trace.site("last").point.path)
    handle = site.register_forward_hook(lambda m, i, out: kept.append(out))
    logits = module(trace.classifier.framing.normalize(trace.pixels)[None])[0]
    handle.remove()
    score = (logits * weights).sum() if weights is not None else logits.max() - logits.mean()
    (slopes,) = torch.autograd.grad(score, kept)
    return kept[0][0].detach().double().numpy(), slopes[0].double().numpy()


def close(a, b, tolerance=TOLD):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return a.shape == b.shape and np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-12)


def native(trace, method, **options):
    return ex.explain(trace, method, **options).native


def seeded(network, seed=0):
    """Random weights, and batch norms whose four vectors are all at work; in double precision."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.copy_(torch.randn(module.weight.shape, generator=draw) / module.weight[0].numel() ** 0.5)
            elif isinstance(module, nn.BatchNorm2d):
                module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=draw))
                module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=draw))
                if module.affine:
                    module.weight.copy_(torch.randn(module.weight.shape, generator=draw))
            if getattr(module, "bias", None) is not None:
                module.bias.copy_(torch.randn(module.bias.shape, generator=draw))
    return network.double().eval()


def stages(*widths, head=None, classes=2):
    """Convolutions with ReLU, each halving the grid, then global average pooling and a linear head."""
    layers = [
        nn.Sequential(nn.Conv2d(i, o, 3, stride=2, padding=1), nn.ReLU())
        for i, o in zip((3, *widths), widths, strict=False)
    ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head or nn.Linear(widths[-1], classes))


def ask(network):
    return ex.look(ex.wrap(network, framing=FRAMING), NOISE)


# T17 to T20: place by place ------------------------------------------------------------------------------------------


BY_LOOPS = ("grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "xgrad_cam")


def by_loops(maps, slopes):
    """What each method adds up to, with a loop for every sum in its formula; before anything is cut off."""
    channels, h, w = maps.shape
    places = [(i, j) for i in range(h) for j in range(w)]
    found = {
        name: np.zeros((h, w)) for name in ("grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "xgrad_cam")
    }
    for k in range(channels):
        total = sum(maps[k, i, j] for i, j in places)
        weights = dict.fromkeys(("grad_cam", "grad_cam_plus_plus", "xgrad_cam"), 0.0)
        for i, j in places:
            g, a = slopes[k, i, j], maps[k, i, j]
            weights["grad_cam"] += g / len(places)
            weights["xgrad_cam"] += a / total * g if total else 0
            below = 2 * g**2 + total * g**3
            weights["grad_cam_plus_plus"] += g**2 / below * max(g, 0) if g > 0 else 0
            found["hires_cam"][i, j] += g * a
            found["layer_cam"][i, j] += max(g, 0) * a
        for name, weight in weights.items():
            for i, j in places:
                found[name][i, j] += weight * maps[k, i, j]
    return found


@each_network
def test_t17_to_t20_are_loops_over_every_channel_and_place(look):
    trace = look()
    maps, slopes = read(trace)
    for method, heat in by_loops(maps, slopes).items():
        if "signed" in {o.name for o in ex.registry.find(method).options}:
            assert close(native(trace, method, signed=True), heat), method
            assert close(native(trace, method, signed=True, counterfactual=True), -heat), method
            assert close(native(trace, method, counterfactual=True), np.maximum(-heat, 0)), method
        assert close(native(trace, method), np.maximum(heat, 0)), method
    against = np.einsum("khw,khw->hw", np.maximum(-slopes, 0), maps)
    assert close(native(trace, "layer_cam", counterfactual=True), against)


class Bent(nn.Module):
    """Maps under a head whose slopes differ from place to place, and are of either sign."""

    def __init__(self, bend):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 6, 3, stride=4, padding=1), bend)
        self.hidden, self.head = nn.Linear(6 * 64, 7), nn.Linear(7, 3)

    def forward(self, x):
        return self.head(F.softplus(self.hidden(self.maps(x).flatten(1))))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("bend", [nn.ReLU(), nn.Softplus(), nn.Identity()], ids=["ReLU", "softplus", "either sign"])
def test_t17_to_t20_on_random_networks(bend, seed):
    trace = ask(seeded(Bent(bend), seed))
    maps, slopes = read(trace)
    assert (slopes > 0).any()
    assert (slopes < 0).any()
    found = by_loops(maps, slopes)
    if (maps < 0).any():  # where a channel may sum to less than zero, Grad-CAM++ has a word of its own
        del found["grad_cam_plus_plus"]
    for method, heat in found.items():
        assert close(native(trace, method), np.maximum(heat, 0)), method
    assert close(native(trace, "xgrad_cam", signed=True).sum(dtype=np.float64), (maps * slopes).sum())


def test_t17_three_are_cam_where_a_linear_head_reads_the_average():
    trace = frog()
    cam, cells = native(trace, "cam", signed=True), 64
    for method in ("grad_cam", "hires_cam", "xgrad_cam"):
        assert close(native(trace, method, signed=True) * cells, cam), method
    bias, winner = trace.classifier.module.linear.bias.detach(), trace.class_index
    score = trace.logits[winner] - trace.logits.mean()
    assert cam.mean(dtype=np.float64) + float(bias[winner] - bias.mean()) == pytest.approx(float(score), rel=SUMMED)
    assert close(native(trace, "cam", counterfactual=True), np.maximum(-cam, 0))


@each_network
def test_t18_xgrad_cam_adds_up_to_slopes_times_maps(look):
    trace = look()
    maps, slopes = read(trace)
    assert native(trace, "xgrad_cam", signed=True).sum(dtype=np.float64) == pytest.approx(
        (maps * slopes).sum(), rel=SUMMED
    )


def test_xgrad_cam_leaves_out_a_channel_that_cancels_itself_and_says_so():
    class Balanced(nn.Module):
        """Channel 0 sums to zero, whatever the picture; channel 1 does not."""

        def __init__(self):
            super().__init__()
            self.maps, self.head = nn.Conv2d(3, 1, 3, stride=4, padding=1), nn.Linear(128, 2)
            self.kept = nn.Identity()

        def forward(self, x):
            maps = self.maps(x)
            return self.head(self.kept(torch.cat([maps - maps.mean((2, 3), keepdim=True), maps + 9], 1)).flatten(1))

    trace = ask(seeded(Balanced()))
    e = ex.explain(trace, "xgrad_cam", depth="kept", signed=True)
    assert e.result.note.startswith("1 of 2 channels")
    maps, slopes = trace.maps("kept")[1].numpy(), trace.slopes("kept")[1].numpy()
    assert close(e.native, (maps * slopes).sum() / maps.sum() * maps)


def level(value, channels=4):
    """A head under which every slope is value / cells, for class 0."""
    head = nn.Linear(channels, 2)
    network = seeded(stages(3, channels, head=head))
    with torch.no_grad():
        head.weight[0], head.weight[1] = value, -value  # so that the centered logit is the logit of class 0
        head.bias.zero_()
    return network


def test_t19_with_one_slope_everywhere_a_channel_counts_less_the_more_it_is_active():
    trace, cells = ask(level(3.0)), 64
    maps, slope = trace.maps().numpy(), 3.0 / cells
    weights = cells * slope / (2 + slope * maps.sum((1, 2)))
    assert close(native(trace, "grad_cam_plus_plus", target=0), np.einsum("k,khw->hw", weights, maps))
    assert ex.explain(trace, "grad_cam_plus_plus", target=1).blank  # no slope is above zero


def test_t19_stays_finite_where_slopes_are_tiny_and_where_the_divisor_passes_zero():
    tiny = native(ask(level(1e-18)), "grad_cam_plus_plus", target=0)  # whose cubes are nothing in single precision
    half = native(ask(level(1e-18)), "grad_cam", target=0) * 64 / 2
    assert close(tiny, half)

    class Below(nn.Module):
        """Maps of one channel whose sum is −cells: with a slope of 2 / cells, the divisor is zero."""

        def __init__(self):
            super().__init__()
            self.maps, self.head = nn.Conv2d(3, 1, 3, stride=4, padding=1), nn.Linear(1, 2, bias=False)
            self.kept = nn.Identity()

        def forward(self, x):
            maps = self.maps(x)
            return self.head(self.kept(maps - maps.mean((2, 3), keepdim=True) - 1).mean((2, 3)))

    network = seeded(Below())
    with torch.no_grad():
        network.head.weight[:] = torch.tensor([[2.0], [-2.0]])
    e = ex.explain(ask(network), "grad_cam_plus_plus", target=0, depth="kept")
    assert np.isfinite(e.native).all()
    assert e.blank
    assert "1 of 1 channels sum to less than zero" in e.result.note


def test_t20_where_no_slope_is_below_zero_layer_cam_is_hires_cam():
    trace = ask(level(3.0))
    assert close(native(trace, "layer_cam", target=0), native(trace, "hires_cam", target=0))


def test_smooth_grad_cam_plus_plus_without_noise_is_grad_cam_plus_plus():
    trace = frog()
    plain = native(trace, "grad_cam_plus_plus", depth="middle")
    assert close(native(trace, "smooth_grad_cam_plus_plus", depth="middle", noise=0.0, samples=3), plain)
    assert not close(native(trace, "smooth_grad_cam_plus_plus", depth="middle", samples=3), plain, 0.01)


def test_smooth_grad_cam_plus_plus_averages_slopes_and_their_powers():
    trace, draw, powers = tabby(), torch.Generator().manual_seed(0), []
    maps, winner = trace.maps().double().numpy(), trace.class_index
    for _ in range(2):
        noisy = (trace.pixels + 0.1 * torch.randn(trace.pixels.shape, generator=draw, dtype=torch.float64)).clamp(0, 1)
        weights = torch.full_like(trace.logits, -1 / len(trace.logits))
        weights[winner] += 1
        _, g = read(trace.elsewhere(noisy), weights)
        powers.append((g, g**2, g**3))
    first, second, third = np.mean(powers, 0)
    below = 2 * second + maps.sum((1, 2), keepdims=True) * third
    share = np.divide(second, below, out=np.zeros_like(below), where=below > 1e-3 * second)
    weights = (share * np.maximum(first, 0)).sum((1, 2))
    heat = np.maximum(np.einsum("k,khw->hw", weights, maps), 0)
    assert close(native(trace, "smooth_grad_cam_plus_plus", samples=2), heat)


# T21: channels shown and taken away ----------------------------------------------------------------------------------


def test_t21_what_a_linear_head_loses_with_a_channel_is_weight_times_average():
    trace = frog()
    maps, _ = read(trace)
    head = trace.classifier.module.linear.weight.detach().double().numpy()
    weights = (head[trace.class_index] - head.mean(0)) * maps.mean((1, 2))
    heat = np.maximum(np.einsum("k,khw->hw", weights, maps), 0)
    assert close(native(trace, "ablation_cam"), heat)
    few = ex.explain(trace, "ablation_cam", channels=8)
    first = np.argsort(-np.abs(weights))[:8]
    assert close(few.native, np.maximum(np.einsum("k,khw->hw", weights[first], maps[first]), 0))
    assert few.result.note == "The 8 strongest of 64 channels were taken away."


@pytest.mark.parametrize("depth", ["middle", "last"])
def test_ablation_cam_sets_one_channel_after_the_other_to_zero(depth):
    trace = frog()
    module, path = trace.classifier.module, trace.site(depth).point.path
    maps, winner = trace.maps(depth), trace.class_index
    pixels, falls = trace.classifier.framing.normalize(trace.pixels)[None], []
    for k in range(-1, len(maps)):

        def without(m, i, out, k=k):
            out = out.clone()
            if k >= 0:
                out[:, k] = 0
            return out

        handle = module.get_submodule(path).register_forward_hook(without)
        with torch.no_grad():
            logits = module(pixels)[0]
        handle.remove()
        falls.append(float(logits[winner] - logits.mean()))
    weights = falls[0] - np.array(falls[1:])
    heat = np.maximum(np.einsum("k,khw->hw", weights, maps.double().numpy()), 0)
    assert close(native(trace, "ablation_cam", depth=depth), heat)


def test_more_channels_are_taken_away_at_once_where_only_the_head_comes_after_them():
    trace, runs = frog(), []
    assert trace.at_once_from("last") == 8 * trace.at_once_from("middle") == 8 * trace.at_once
    handle = trace.classifier.module.register_forward_hook(lambda m, i, out: runs.append(len(out)))
    e = ex.explain(trace, "ablation_cam")
    handle.remove()
    assert runs == [1, 1, 64]  # the picture, its own maps, each channel
    assert e.spent.forwards == sum(runs)


def test_t21_score_cam_shows_what_each_channel_marks():
    trace = frog()
    maps, winner, weights = trace.maps(), trace.class_index, []

    def score(pixels):
        with torch.no_grad():
            logits = trace.classifier.module(trace.classifier.framing.normalize(pixels)[None])[0]
        return float(logits[winner] - logits.mean())

    for k in range(len(maps)):
        low, high = maps[k].min(), maps[k].max()
        if high == low:
            weights.append(0.0)
            continue
        mask = F.interpolate(((maps[k] - low) / (high - low))[None, None], (32, 32), mode="bilinear")[0]
        weights.append(score(trace.pixels * mask) - score(torch.zeros_like(trace.pixels)))
    heat = np.maximum(np.einsum("k,khw->hw", np.array(weights), maps.double().numpy()), 0)
    assert close(native(trace, "score_cam", cover="black"), heat)
    few = ex.explain(trace, "score_cam", channels=8)
    assert few.result.note == "The 8 liveliest of 64 channels were tried."
    assert 8 < few.spent.forwards + ex.explain(trace, "score_cam").spent.forwards <= 8 + 64 + 3


def test_t21_for_a_network_that_never_changes_its_mind_nothing_comes_back():
    network = seeded(stages(4, 6, classes=3))
    with torch.no_grad():
        network[-1].weight.zero_()
    for method in ("score_cam", "ablation_cam"):
        assert ex.explain(ask(network), method).blank


def test_a_channel_that_is_the_same_everywhere_marks_nothing():
    network = seeded(stages(4, 6, classes=3))
    with torch.no_grad():
        network[1][0].weight[:3].zero_()
        network[1][0].bias[:3] = torch.tensor([0.0, 1.0, -1.0])
    e = ex.explain(ask(network), "score_cam")
    assert np.isfinite(e.native).all()
    assert e.spent.forwards <= 2 + 3
    with torch.no_grad():
        network[1][0].weight.zero_()
    assert "Every channel is flat" in ex.explain(ask(network), "score_cam").result.note


# T22: directions -----------------------------------------------------------------------------------------------------


@each_network
def test_t22_eigen_cam_is_the_first_singular_projection(look):
    trace = look()
    maps, slopes = read(trace)
    for method, values in (("eigen_cam", maps), ("eigen_grad_cam", maps * slopes)):
        rows = values.reshape(len(values), -1).T  # (cells, K)
        _, _, right = np.linalg.svd(rows, full_matrices=False)
        heat = rows @ right[0]
        heat = heat if heat @ rows.mean(1) > 0 else -heat
        assert close(native(trace, method), np.maximum(heat, 0).reshape(maps.shape[1:])), method
    along = native(trace, "eigen_cam").ravel()
    assert np.corrcoef(along, maps.mean(0).ravel())[0, 1] > 0


@pytest.mark.parametrize("shape", [(5, 6, 7), (60, 4, 3)], ids=["more cells", "more channels"])
def test_t22_turning_the_channels_changes_nothing(shape):
    draw = torch.Generator().manual_seed(0)
    maps, along = torch.randn(shape, generator=draw).double(), torch.randn(shape[1:], generator=draw)
    turn, _ = torch.linalg.qr(torch.randn(shape[0], shape[0], generator=draw).double())
    heat, turned = strongest(maps, along), torch.einsum("kl,lhw->khw", turn, maps)
    assert close(strongest(turned, along), heat, EXACT)
    assert close(strongest(turned, turned.norm(dim=0)), strongest(maps, maps.norm(dim=0)), EXACT)
    assert close(strongest(maps, -along), -heat, EXACT)
    assert float((heat * along).sum()) > 0
    assert not strongest(torch.zeros(shape), along).any()


def test_t22_maps_whose_channels_cancel_at_each_place_are_not_blank():
    class Normed(nn.Module):
        """A LayerNorm over the channels, as before the head of a transformer: their mean is that of its bias."""

        def __init__(self):
            super().__init__()
            self.maps, self.kept, self.head = nn.Conv2d(3, 6, 4, stride=4), nn.LayerNorm(6), nn.Linear(6, 2)

        def forward(self, x):
            return self.head(self.kept(self.maps(x).permute(0, 2, 3, 1)).mean((1, 2)))

    network = seeded(Normed())
    with torch.no_grad():
        network.kept.bias.fill_(-0.01)  # a little below zero, which says nothing about what is strong
        network.maps.bias[:] = torch.tensor([9.0, -9, 3, -3, 1, -1])  # every place is much like every other
    trace = ask(network)
    assert (trace.maps("kept").mean(0) < 0).all()
    assert (native(trace, "eigen_cam", depth="kept") > 0).all()


# T24: nothing there --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [m for m in FAMILY if m not in ("eigen_cam", "eigen_grad_cam", "score_cam")])
def test_t24_a_class_that_nothing_speaks_for_gets_a_blank_map_and_a_note(method):
    network = level(3.0)  # class 0 likes everything, class 1 nothing
    trace = ask(network)
    if method == "refine_cam":  # which reads early maps, too; let those raise whatever comes after them
        with torch.no_grad():
            network[1][0].weight.abs_()
    e = ex.explain(trace, method, target=1)
    assert e.blank
    assert any("zero everywhere" in note for note in e.notes)
    assert not ex.explain(trace, method, target=0).blank
    if "counterfactual" in e.options:
        assert not ex.explain(trace, method, target=1, counterfactual=True).blank


# T3: everything with a constant --------------------------------------------------------------------------------------


class WithNorms(nn.Module):
    """Batch norm beside and instead of biases, two ways of pooling, an addition in place, two linear layers."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6)
        self.second, self.norm2 = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6, affine=False)
        self.hidden, self.head = nn.Linear(6, 5), nn.Linear(5, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.first(x))), 2)
        y = self.norm2(self.second(x))
        y += x
        return self.head(F.relu(self.hidden(F.relu(y, inplace=True).mean((2, 3)))))


def parts_and_score(trace):
    """Pixels times slopes and all constants times slopes, and the score."""
    biases = Biases()
    slopes, scores = trace.slopes_at(trace.pixels[None], rule=biases)
    framing = trace.classifier.framing
    fed = framing.normalize(trace.pixels) * torch.tensor(framing.std, dtype=slopes.dtype)[:, None, None]
    return float((fed * slopes[0]).double().sum()) + sum(float(p.double().sum()) for p in biases.signed), float(
        scores[0]
    )


def test_t3_pixels_and_constants_are_the_score():
    parts, score = parts_and_score(ask(seeded(WithNorms())))
    assert parts == pytest.approx(score, rel=EXACT)
    parts, score = parts_and_score(ask(seeded(WithNorms()).float()))
    assert parts == pytest.approx(score, rel=rounding(1000))


@each_network
def test_t3_on_real_networks(look):
    trace = look()
    parts, score = parts_and_score(trace)
    assert parts == pytest.approx(score, rel=EXACT)
    assert ex.explain(trace, "full_grad").result.note.startswith("All parts together add up to the score")


def test_t3_fails_without_what_batch_norm_subtracts(monkeypatch):
    def only_beta(name, args, kwargs, whole=biases._constant):
        return args[2] if name == "batch_norm" else whole(name, args, kwargs)

    monkeypatch.setattr(biases, "_constant", only_beta)
    parts, score = parts_and_score(ask(seeded(WithNorms())))
    assert abs(parts - score) > 0.1 * abs(score)


def test_t3_the_signed_map_holds_all_that_has_a_place():
    trace = ask(seeded(WithNorms()))
    e = ex.explain(trace, "full_grad", shown="signed")
    _, score = parts_and_score(trace)
    network, best, kept = trace.classifier.module, trace.class_index, []
    handle = network.hidden.register_forward_hook(lambda m, i, out: kept.append(out[0]))
    with torch.no_grad():
        network(trace.classifier.framing.normalize(trace.pixels.double())[None])
        weight = network.head.weight[best] - network.head.weight.mean(0)
        hidden = (weight * network.hidden.bias * (kept[0] > 0)).sum()
        nowhere = float(hidden + network.head.bias[best] - network.head.bias.mean())
    handle.remove()
    assert e.native.sum(dtype=np.float64) + nowhere == pytest.approx(score, rel=SUMMED)
    assert f"{nowhere:+.2g} of it comes from constants that have no place" in e.result.note


def test_t3_holds_on_grids_that_do_not_divide_the_picture_and_for_norms_of_each_picture():
    first = nn.Sequential(nn.Conv2d(3, 4, 3, stride=3), nn.InstanceNorm2d(4, affine=True, track_running_stats=True))
    network = nn.Sequential(first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3, bias=False))
    seeded(network)
    with torch.no_grad():
        first[1].weight[:], first[1].running_mean[:] = torch.arange(1.0, 5), torch.arange(-2.0, 2)
        first[1].running_var[:] = torch.arange(2.0, 6)
    parts, score = parts_and_score(ask(network))
    assert parts == pytest.approx(score, rel=EXACT)
    assert native(ask(network), "full_grad", shown="signed").sum(dtype=np.float64) == pytest.approx(score, rel=SUMMED)


def test_t3_does_not_hold_above_gelu_and_the_note_says_so():
    network = seeded(stages(4, 6, classes=3))
    network[0][1] = nn.GELU().eval()
    parts, score = parts_and_score(ask(network))
    note = ex.explain(ask(network), "full_grad").result.note
    assert f"miss the score by {100 * abs(parts - score) / abs(score):.3g} %" in note


def test_t3_as_the_paper_shows_it_each_operation_has_one_size():
    network = seeded(stages(4, 6, classes=3))
    trace = ask(network)
    pixels, kept = trace.pixels.double()[None].requires_grad_(), []
    handles = [network[i][0].register_forward_hook(lambda m, i, out: kept.append(out)) for i in (0, 1)]
    logits = network(FRAMING.normalize(pixels))[0]
    for handle in handles:
        handle.remove()
    slopes = torch.autograd.grad(logits.max() - logits.mean(), [pixels, *kept])
    fed = FRAMING.normalize(pixels.detach()) * torch.tensor(FRAMING.std).double()[:, None, None]
    parts = [fed * slopes[0], *(network[i][0].bias[:, None, None] * slopes[i + 1] for i in (0, 1))]
    sizes = [(p.abs() / p.abs().max()).sum(1, keepdim=True).detach() for p in parts]
    heat = sum(F.interpolate(s, (SIDE, SIDE), mode="bilinear", align_corners=False)[0, 0] for s in sizes)
    assert close(native(trace, "full_grad"), heat - heat.min())


def test_t27_marking_constants_changes_neither_scores_nor_slopes():
    trace = frog()
    plain, score = trace.slopes_at(trace.pixels[None])
    marked, same = trace.slopes_at(trace.pixels[None], rule=Biases())
    assert torch.equal(plain, marked)
    assert torch.equal(score, same)


# Against other classes, of second order, over depths -----------------------------------------------------------------


@each_network
@pytest.mark.parametrize("score", ["logit", "centered_logit"])
def test_finer_cam_is_grad_cam_of_a_lead_over_the_nearest_classes(look, score):
    trace = look()
    best, *nearest = trace.logits.argsort(descending=True)[:4].tolist()
    weights = torch.zeros_like(trace.logits)
    weights[best], weights[nearest] = 1.0, -0.6 / 3
    if score == "centered_logit":
        weights -= weights.mean()
    maps, slopes = read(trace, weights)
    e = ex.explain(trace, "finer_cam", score=score)
    assert close(e.native, np.maximum(np.einsum("k,khw->hw", slopes.mean((1, 2)), maps), 0))
    assert trace.classifier.labels[nearest[0]] in e.result.note
    assert close(native(trace, "finer_cam", strength=0.0), native(trace, "grad_cam"))


def test_finer_cam_leaves_out_the_class_that_was_asked_against():
    trace = frog()
    first, second, third = trace.logits.argsort(descending=True)[:3].tolist()
    e = ex.explain(trace, "finer_cam", target=first, versus=second, alike=1)
    assert e.result.note == f"Held against {trace.classifier.labels[third]}."


class Squared(nn.Module):
    """A score that is the square of a sum over the maps: of second order, so that a Hessian tells all."""

    def forward(self, x):
        return x.square() * torch.tensor([1.0, -1.0]).to(x)


def test_shapley_cam_shares_out_a_score_of_second_order():
    network = seeded(nn.Sequential(*stages(4, 6), Squared()))
    with torch.no_grad():
        network[-2].bias.zero_()
    trace = ask(network)
    fair = native(trace, "shapley_cam", target=0, signed=True)
    asked = trace.ask(Target(0))
    whole, none = asked.score_from(torch.stack([trace.maps(), torch.zeros_like(trace.maps())])).tolist()
    assert fair.sum(dtype=np.float64) == pytest.approx(whole - none, rel=SUMMED)
    assert native(trace, "grad_cam", target=0, signed=True).sum(dtype=np.float64) == pytest.approx(
        2 * (whole - none), rel=SUMMED
    )


def test_shapley_cam_is_worked_out_with_finite_differences():
    trace, step = ask(seeded(Bent(nn.ReLU()))), 1e-5
    maps, head = trace.maps(), trace.classifier.module

    def slopes(maps):
        leaf = maps[None].clone().requires_grad_()
        logits = head.head(F.softplus(head.hidden(leaf.flatten(1))))[0]
        return torch.autograd.grad(logits[1] - logits.mean(), leaf)[0][0]

    along = (slopes(maps * (1 + step)) - slopes(maps * (1 - step))) / (2 * step)  # the Hessian times the maps
    weights = (slopes(maps) - along / 2).mean((1, 2))
    heat = torch.einsum("k,khw->hw", weights, maps)
    assert close(native(trace, "shapley_cam", target=1, signed=True), heat)
    assert not close(native(trace, "grad_cam", target=1, signed=True), heat, 1e-2)


class Attending(nn.Module):
    """Patches, torch's own attention, and a head over their average."""

    def __init__(self):
        super().__init__()
        self.patches, self.attend = nn.Conv2d(3, 8, 4, stride=4), nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).mT
        return self.head((tokens + self.attend(tokens, tokens, tokens, need_weights=False)[0]).mean(1))


def test_shapley_cam_sees_through_the_fused_attention_of_torch():
    torch.manual_seed(0)
    trace = ask(Attending().double().eval()).ask(Target(1))
    maps, step = trace.maps("patches"), 1e-4
    scales = torch.tensor([1 - step, 1, 1 + step], dtype=torch.double)
    below, here, above = trace.score_from(maps * scales[:, None, None, None], "patches")
    expected = float(below - 2 * here + above) / step**2
    near = step**2 + rounding(1000, here, torch.float64) / step**2
    assert float((slope_changes(trace, maps, "patches") * maps).sum()) == pytest.approx(expected, abs=near)
    assert not ex.explain(trace, "shapley_cam", target=1, depth="patches", signed=True).blank


def test_shapley_cam_is_grad_cam_where_the_rest_is_linear():
    trace = frog()
    assert close(native(trace, "shapley_cam", signed=True), native(trace, "grad_cam", signed=True))


def layers(trace):
    return {depth: native(trace, "layer_cam", depth=depth) for depth in ("early", "middle", "late", "last")}


def stretched(heat, size):
    return F.interpolate(torch.tensor(heat)[None, None].double(), size, mode="bilinear", align_corners=False)[
        0, 0
    ].numpy()


def test_layer_cam_fused_takes_the_largest_of_scaled_depths():
    trace = frog()
    each = {depth: heat / heat.max() for depth, heat in layers(trace).items()}
    lifted = {d: np.tanh(2 * heat) if d in ("early", "middle") else heat for d, heat in each.items()}
    size = max(heat.shape for heat in each.values())
    assert close(native(trace, "layer_cam", fused=True), np.max([stretched(h, size) for h in lifted.values()], 0))


def test_refine_cam_multiplies_the_depths():
    trace = frog()
    points = {depth: trace.site(depth).point for depth in ("early", "middle", "late", "last")}
    each = {points[depth]: heat / heat.max() for depth, heat in layers(trace).items()}  # the same maps count once
    size = max(heat.shape for heat in each.values())
    fresh = ex.explain(frog(), "refine_cam")
    assert close(fresh.native, np.prod([stretched(heat, size) for heat in each.values()], 0))
    assert (fresh.spent.forwards, fresh.spent.backwards) == (1, len(each))


def test_a_depth_that_says_nothing_is_left_out_and_named():
    network = seeded(stages(4, 4, 4, 4))
    with torch.no_grad():
        for stage in (1, 2, 3):
            network[stage][0].weight.abs_()
        network[1][0].weight.neg_()
        network[1][0].bias.fill_(9)  # so the first maps only lower the second, which raise all that follows
        network[-1].weight[:] = torch.tensor([[1.0], [-1.0]])
    trace = ask(network)
    assert not layers(trace)["early"].any()
    e = ex.explain(trace, "refine_cam", target=0)
    assert not e.blank
    assert "depth early" in e.result.note
    assert "depth early" in ex.explain(trace, "layer_cam", target=0, fused=True).result.note
