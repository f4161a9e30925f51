"""Maps lie where their pixels came from: whatever the order of tokens, the strides, the branches and the calls."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import explainers as ex
from explainers.errors import DoesNotApply
from explainers.network.layouts import lying
from explainers.pictures import Framing

SIDE, CELLS, WIDTH = 32, 4, 6
PICTURE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def framing(height=SIDE, width=SIDE):
    return Framing(size=(height, width), mode="squash", mean=(0.5,) * 3, std=(0.5,) * 3)


def opened(network, height=SIDE, width=SIDE):
    return ex.wrap(network.double().eval(), framing=framing(height, width))


def looked(network, picture=PICTURE):
    return ex.look(opened(network, *picture.shape[:2]), picture)


def heat(network, picture=PICTURE, method="grad_cam", **options):
    return ex.explain(looked(network, picture), method, target=0, signed=True, **options)


def seeded(build):
    torch.manual_seed(0)
    return build()


def close(a, b):
    """Heat is kept in single precision; everything before it is double here."""
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= 4 * np.finfo(np.float32).eps * np.abs(b).max()


# One sequence, in another order --------------------------------------------------------------------------------------


class Sequence(nn.Module):
    """Patches in some order, each for itself; their mean is read. So no order changes the scores."""

    def __init__(self, order=None, before=0, channels_first=False, registers=()):
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, SIDE // CELLS, SIDE // CELLS)
        self.up, self.head = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()), nn.Linear(WIDTH, 3)
        self.order, self.first, self.registers = order, channels_first, registers
        noise = torch.Generator().manual_seed(3)
        self.extra = nn.Parameter(torch.randn(1, max(1, len(registers)), WIDTH, generator=noise))
        self.turned = nn.Identity()

    def forward(self, x):
        tokens = self.patches(x).flatten(2).mT
        if self.order is not None:
            tokens = tokens[:, self.order]
        kept = torch.ones(tokens.shape[1] + len(self.registers), dtype=torch.bool)
        for number, place in enumerate(self.registers):
            extra = self.extra[:, number : number + 1].expand(len(x), -1, -1)
            tokens = torch.cat([tokens[:, :place], extra, tokens[:, place:]], 1)
            kept[place] = False
        tokens = self.up(tokens)
        if self.first:
            tokens = self.turned(tokens.mT).mT
        return self.head(tokens[:, kept].mean(1))


def grid():
    return torch.arange(CELLS * CELLS).view(CELLS, CELLS)


def snake():
    rows = grid()
    rows[1::2] = rows[1::2].flip(1)
    return rows.flatten()


def hilbert():
    """The order of a Hilbert curve of two levels, by its turtle's rules."""
    found, (y, x), (dy, dx) = [(0, 0)], (0, 0), (0, 1)

    def curve(level, sign):
        nonlocal y, x, dy, dx
        if level == 0:
            return

        def turn(by):
            nonlocal dy, dx
            dy, dx = (dx, -dy) if by > 0 else (-dx, dy)

        def step():
            nonlocal y, x
            y, x = y + dy, x + dx
            found.append((y, x))

        turn(sign)
        curve(level - 1, -sign)
        step()
        turn(-sign)
        curve(level - 1, sign)
        step()
        curve(level - 1, sign)
        turn(-sign)
        step()
        curve(level - 1, -sign)
        turn(sign)

    curve(2, 1)
    rows = np.array(found)
    rows -= rows.min(0)
    return torch.tensor(rows[:, 0] * CELLS + rows[:, 1])


ORDERS = {
    "columns": grid().T.flatten(),
    "windows": grid().view(2, 2, 2, 2).transpose(1, 2).flatten(),
    "snake": snake(),
    "hilbert": hilbert(),
    "backwards": grid().flatten().flip(0),
    "shuffled": torch.randperm(CELLS * CELLS, generator=torch.Generator().manual_seed(0)),
}


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_tokens_changes_no_map(order, channels_first):
    assert sorted(ORDERS[order].tolist()) == list(range(CELLS * CELLS))
    plain = heat(seeded(Sequence))
    close(heat(seeded(lambda: Sequence(ORDERS[order], channels_first=channels_first))).native, plain.native)


@pytest.mark.parametrize("registers", [(0,), (8,), (16,), (0, 5, 18), (16, 17, 18, 19)])
def test_tokens_without_a_place_may_stand_anywhere(registers):
    close(heat(seeded(lambda: Sequence(registers=registers))).native, heat(seeded(Sequence)).native)


def test_as_many_channels_as_tokens():
    class Square(nn.Module):
        def __init__(self, first):
            super().__init__()
            self.patches, self.head = nn.Conv2d(3, 16, 8, 8), nn.Linear(16, 3)
            self.first, self.form = first, nn.Identity()

        def forward(self, x):
            tokens = self.patches(x).flatten(2)  # (N, 16, 16)
            return self.head(self.form(tokens).mean(2) if self.first else self.form(tokens.mT).mean(1))

    close(heat(seeded(lambda: Square(True))).native, heat(seeded(lambda: Square(False))).native)


def test_a_choice_that_depends_on_the_picture_has_no_place():
    class Chosen(Sequence):
        def forward(self, x):
            tokens = self.patches(x).flatten(2).mT
            order = tokens.sum(2).argsort(1)  # the strongest last: another order for each picture
            tokens = self.turned(tokens.gather(1, order[..., None].expand_as(tokens)))
            return self.head(self.up(tokens).mean(1))

    answer = heat(seeded(Chosen))
    close(answer.native, heat_at_patches(seeded(Chosen), PICTURE))


def heat_at_patches(network, picture):
    """Grad-CAM at the patches, by hand, for class 0 of the centered logits."""
    network = network.double().eval()
    pixels = framing().normalize(torch.from_numpy(picture).permute(2, 0, 1).double() / 255)
    kept = []
    handle = network.patches.register_forward_hook(lambda _m, _i, out: kept.append(out))
    logits = network(pixels[None].requires_grad_())[0]
    handle.remove()
    (slope,) = torch.autograd.grad(logits[0] - logits.mean(), kept[0])
    weights = slope[0].mean((1, 2))
    return torch.einsum("k,khw->hw", weights, kept[0][0]).detach().numpy()


# What is no grid, and which axis is which ----------------------------------------------------------------------------


class Seen(nn.Module):
    """Lets a part of the picture through; whatever comes behind, heat has to lie there."""

    def __init__(self, rows, columns, size=(SIDE, SIDE)):
        super().__init__()
        mask = torch.zeros(size)
        mask[rows, columns] = 1
        self.register_buffer("mask", mask)

    def forward(self, x):
        return x * self.mask


def inside(answer, rows, columns):
    """Which share of the heat lies in a part of the picture."""
    mass = np.abs(answer.heat)
    return mass[rows, columns].sum() / mass.sum()


def convolution(before, after, stride):
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.ReLU())


@pytest.mark.parametrize("stride", [(2, 1), (1, 2), (4, 1)])
@pytest.mark.parametrize("last", [False, True])
def test_strides_that_differ_by_direction(stride, last):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = Seen(slice(None), slice(SIDE // 2, None))
            self.maps = nn.Sequential(convolution(3, 8, 1), convolution(8, 16, stride))
            self.form, self.head = nn.Identity(), nn.Linear(16, 3)

        def forward(self, x):
            maps = self.maps(self.seen(x))
            return self.head(self.form(maps.permute(0, 2, 3, 1)).mean((1, 2)) if last else self.form(maps).mean((2, 3)))

    answer = heat(seeded(Net))
    assert answer.native.shape == (SIDE // stride[0], SIDE // stride[1])
    # Two kernels of three reach two cells over the border.
    assert inside(answer, slice(None), slice(SIDE // 2 - 4 * stride[1], None)) > 1 - 1e-6


class Recurrent(nn.Module):
    """Convolutions, and a recurrent layer along the columns, as for text in pictures."""

    def __init__(self, kind, size):
        super().__init__()
        self.seen = Seen(slice(None), slice(size[1] * 3 // 4, None), size)
        self.maps = nn.Sequential(convolution(3, 8, 2), convolution(8, 16, 1))
        self.along, self.head = kind(16, 16, batch_first=True), nn.Linear(16, 3)

    def forward(self, x):
        steps = self.maps(self.seen(x)).mean(2).mT  # (N, columns, 16)
        return self.head(self.along(steps)[0].mean(1))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_steps_along_the_columns_are_no_square(kind):
    picture = np.random.default_rng(1).integers(0, 256, (16, 64, 3), np.uint8)
    answer = heat(seeded(lambda: Recurrent(kind, (16, 64))), picture)
    assert answer.native.shape == (8, 32)
    assert (
        inside(answer, slice(None), slice(64 * 3 // 4 - 4, None)) > 0.99
    )  # the rest is carried over the border by interpolation


class Opaque(torch.autograd.Function):
    """A function that hides from whatever follows functions, and gives back what it was given."""

    @staticmethod
    def forward(ctx, x):
        return torch.from_numpy(x.detach().numpy().copy())

    @staticmethod
    def backward(ctx, slope):
        return slope


@pytest.mark.parametrize("order", [None, *ORDERS])
def test_what_is_only_guessed_is_tried(order):
    class Hidden(Sequence):
        def forward(self, x):
            tokens = Opaque.apply(self.patches(Opaque.apply(x)).flatten(2).mT)
            tokens = Opaque.apply(tokens if order is None else tokens[:, ORDERS[order]])
            return self.head(self.up(tokens).mean(1))

    close(heat(seeded(Hidden)).native, heat(seeded(Sequence)).native if order is None else hidden_by_hand(Hidden))


def hidden_by_hand(build):
    """Where the tokens' order is not known, the patches before it still are: they are read instead."""
    return heat_at_patches(seeded(build), PICTURE)


def test_maps_that_are_made_of_everything_lie_nowhere():
    class Everywhere(nn.Module):
        def __init__(self):
            super().__init__()
            self.all, self.maps = nn.Linear(3 * SIDE * SIDE, 8 * 16), nn.Conv2d(8, 8, 1)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            return self.head(torch.tanh(self.maps(self.all(x.flatten(1)).view(-1, 8, 4, 4))).mean((2, 3)))

    model = opened(seeded(Everywhere))
    assert not model.anatomy.sites
    with pytest.raises(DoesNotApply, match="maps over a grid"):
        ex.explain(ex.look(model, PICTURE), "grad_cam")


# Cut, turned and enlarged on the way in ------------------------------------------------------------------------------


WAYS = {
    "mirrored": (lambda x: x.flip(-1), (slice(None), slice(0, 8))),
    "upside down": (lambda x: x.flip(2), (slice(0, 8), slice(None))),
    "upper right quarter": (lambda x: x[:, :, :16, 16:], (slice(0, 8), slice(16, 32))),
    "middle, enlarged": (
        lambda x: F.interpolate(x[:, :, 8:24, 8:24], (SIDE, SIDE), mode="bilinear"),
        (slice(8, 16), slice(8, 24)),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_network_that_turns_or_cuts_its_picture(way):
    change, (rows, columns) = WAYS[way]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = Seen(rows, columns)
            self.maps, self.head = nn.Conv2d(3, 8, 4, 4, bias=False), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.maps(change(self.seen(x))).relu().mean((2, 3)))

    answer = heat(seeded(Net))
    near = [slice(max(0, (s.start or 0) - 3), (s.stop or SIDE) + 3) for s in (rows, columns)]
    assert np.abs(answer.heat).sum() > 0
    assert inside(answer, *near) > 1 - 1e-6


# Several branches, several calls -------------------------------------------------------------------------------------


class Member(nn.Module):
    def __init__(self, stride=8):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 8, stride, stride, bias=False), nn.Tanh())
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.maps(x).mean((2, 3)))


class Sum(nn.Module):
    """Members, each on the picture changed in its own way; one module may take several parts."""

    def __init__(self, members, ways):
        super().__init__()
        self.members, self.ways = nn.ModuleList(members), ways

    def forward(self, x):
        return sum(member(way(x)) for member, way in zip(self.members, self.ways, strict=True))


def same(x):
    return x


def mirror(x):
    return x.flip(-1)


def test_an_ensemble_is_the_sum_of_its_members():
    a, b = seeded(lambda: (Member(), Member()))
    answer = heat(Sum([a, b], [same, same]))
    close(answer.native, heat(a).native + heat(b).native)
    assert not any("goes around" in note for note in answer.notes)


def test_one_module_called_on_the_picture_and_on_its_mirror_image():
    member = seeded(Member)
    answer = heat(Sum([member, member], [same, mirror]))
    mirrored = np.ascontiguousarray(PICTURE[:, ::-1])
    close(answer.native, heat(member).native + heat(member, mirrored).native[:, ::-1])


def test_one_module_called_on_both_halves():
    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            self.member = Member(4)

        def forward(self, x):
            return self.member(x[..., :16]) + self.member(x[..., 16:])

    network = seeded(Halves)
    answer = heat(network)
    halves = [heat(network.member, np.ascontiguousarray(PICTURE[:, k : k + 16])) for k in (0, 16)]
    close(answer.native, np.concatenate([half.native for half in halves], 1))


def test_two_scales_keep_their_sums():
    fine, coarse = seeded(lambda: (Member(4), Member(8)))
    answer = heat(Sum([fine, coarse], [same, same]))
    spread = np.kron(heat(coarse).native, np.ones((2, 2), np.float32)) / 4
    close(answer.native, heat(fine).native + spread)


def test_a_pyramid_counts_each_level_once():
    class Pyramid(nn.Module):
        def __init__(self):
            super().__init__()
            self.fine = nn.Sequential(nn.Conv2d(3, 8, 4, 4, bias=False), nn.Tanh())
            self.coarse = nn.Sequential(nn.Conv2d(8, 8, 2, 2, bias=False), nn.Tanh())
            self.heads = nn.ModuleList([nn.Linear(8, 3), nn.Linear(8, 3)])

        def forward(self, x):
            fine = self.fine(x)
            return self.heads[0](fine.mean((2, 3))) + self.heads[1](self.coarse(fine).mean((2, 3)))

    network = seeded(Pyramid)
    answer = heat(network)
    pixels = looked(network).pixels
    with torch.no_grad():
        fine = network.fine(framing().normalize(pixels)[None])
        coarse = network.coarse(fine)[0]
    weights = [(head.weight[0] - head.weight.mean(0)).detach() for head in network.heads]
    below, above = (torch.einsum("k,khw->hw", w, m) for w, m in zip(weights, (fine[0], coarse), strict=True))
    # Of 64 fine cells each counts 1/64; of 16 coarse ones 1/16, shared among four.
    close(answer.native, (below / 64 + above.repeat_interleave(2, 0).repeat_interleave(2, 1) / 64).numpy())


def test_experts_weighed_by_a_gate():
    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = nn.ModuleList([Seen(slice(None), slice(0, 16)), Seen(slice(None), slice(16, 32))])
            self.experts = nn.ModuleList([Member(), Member()])
            self.gate = nn.Sequential(nn.Conv2d(3, 2, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softmax(1))

        def forward(self, x):
            gates = self.gate(x)
            answers = [expert(seen(x)) for expert, seen in zip(self.experts, self.seen, strict=True)]
            return torch.einsum("nk,nkc->nc", gates, torch.stack(answers, 1))

    model = opened(seeded(Experts))
    assert {point.path for point in model.anatomy.sites["last"].points} >= {"experts.0.maps", "experts.1.maps"}
    mass = np.abs(ex.explain(ex.look(model, PICTURE), "grad_cam", target=0, signed=True).native)
    assert min(mass[:, :2].sum(), mass[:, 2:].sum()) > 0.05 * mass.sum()  # a branch left out would have 0


READ_MAPS = ["hires_cam", "layer_cam", "xgrad_cam", "ablation_cam", "score_cam", "finer_cam", "shapley_cam"]


@pytest.mark.parametrize("method", READ_MAPS)
def test_every_method_that_reads_maps_reads_all_branches(method):
    class Sided(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = nn.ModuleList([Seen(slice(None), slice(0, 16)), Seen(slice(None), slice(16, 32))])
            self.members = nn.ModuleList([Member(), Member()])

        def forward(self, x):
            return sum(m(s(x)) for m, s in zip(self.members, self.seen, strict=True))

    network = seeded(Sided)
    with torch.no_grad():
        for member in network.members:  # all activity positive, and class 0 raised by all of it, in both halves
            member.maps[1] = nn.Sigmoid()
            member.head.weight[0] = member.head.weight[0].abs() + 1
            member.head.weight[1:] = -1
    answer = ex.explain(looked(network), method, target=0)
    mass = np.abs(answer.native)
    assert min(mass[:, :2].sum(), mass[:, 2:].sum()) > 0.1 * mass.sum()  # a branch left out would have 0


def test_maps_put_back_into_all_branches_give_the_same_score():
    a, b = seeded(lambda: (Member(4), Member(8)))
    trace = looked(Sum([a, b, b], [same, same, mirror])).ask(ex.look(opened(a), PICTURE).target)
    maps = trace.maps()
    scores = trace.score_from(torch.stack([maps, maps * 0]))
    still = trace.target.of(sum(m.head.bias for m in (a, b, b)).detach()) if trace.target.index is not None else None
    eps = torch.finfo(torch.float64).eps
    assert abs(float(scores[0] - trace.score(trace.pixels[None])[0])) <= 1e3 * eps
    assert still is None or abs(float(scores[1] - still)) <= 1e3 * eps


def test_what_goes_around_the_maps_is_said():
    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.member, self.flat = Member(), nn.Linear(3 * SIDE * SIDE, 3)

        def forward(self, x):
            return self.member(x) + self.flat(x.flatten(1))

    answer = heat(seeded(Around))
    assert any("goes around" in note for note in answer.notes)


# The layout of places, by itself -------------------------------------------------------------------------------------


def places(rows, columns):
    return torch.complex(*torch.meshgrid(torch.tensor(rows), torch.tensor(columns), indexing="ij"))[None, None]


def test_a_grid_without_padding_still_covers_the_picture():
    # Five cells of a 5 × 5 kernel, pooling by two, and again, on 32 pixels: their middles stand closer than 32 / 5.
    middles = [8.0 + 4 * i for i in range(5)]
    layout = lying(places(middles, middles).expand(1, 7, 5, 5), (32, 32))
    assert layout is not None
    assert (layout.form, layout.channels, layout.grid, layout.box) == ("NCHW", 7, (5, 5), (0.0, 0.0, 1.0, 1.0))


def test_channels_from_far_apart_have_no_place_together():
    middles = [4.0, 12.0, 20.0, 28.0]
    both = torch.cat([places(middles, middles), places(middles, middles[::-1])], 1)
    assert lying(both, (32, 32)) is None
