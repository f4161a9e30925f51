"""`python -m explainers anatomy`: candidates, what was chosen, why the others were not; nothing is swallowed."""

import pytest
import torch
from torch import nn

import explainers as ex
from explainers.commands import anatomy
from explainers.commands.line import main
from explainers.network.rules.places import Places
from explainers.pictures import Framing


def report(module, size=24):
    return list(anatomy.lines(ex.wrap(module.eval(), framing=Framing(size=(size, size)), name="it")))


def of(lines, path):
    """The line about one output."""
    (line,) = [line for line in lines if line[2:].startswith(f"{path} (")]
    return line


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.branch = nn.Conv2d(8, 8, 3, 1, 1)
        self.sum = nn.ReLU()
        self.head = nn.Linear(8, 5)

    def forward(self, pixels):
        x = self.stem(pixels)
        return self.head(self.sum(x + self.branch(x)).mean((2, 3)))


def test_of_a_convolutional_network_the_last_maps_are_chosen_and_a_branch_is_not():
    torch.manual_seed(0)
    lines = report(Residual())
    assert "last    sum: 8 channels over 12 × 12 cells" in lines
    assert of(lines, "sum").startswith("✓")
    assert "agreement" in of(lines, "sum")
    assert of(lines, "stem").startswith("✓")
    assert "not everything that the scores depend on flows through it" in of(lines, "branch")
    assert "its shape has no rows and columns" in of(lines, "head")
    assert "Linear head over pooled maps: yes" in lines


def test_of_a_transformer_tokens_after_the_last_attention_are_told_to_count_for_nothing(capsys):
    assert main(["anatomy", "pond:vit"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Attention: 6 layers" in lines
    assert "last" in of(lines, "blocks.5.norm1")
    assert "tokens over 8 × 8 and 1 beside" in of(lines, "blocks.5.norm1")
    assert "the scores depend on none of its cells" in of(lines, "norm")


def test_of_a_network_without_a_grid_each_output_says_why():
    lines = report(nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 32), nn.ReLU(), nn.Linear(32, 5)))
    assert any(line.startswith("No maps.") for line in lines)
    assert "Agreement of the last maps with the pixels that move them: not measured." in lines
    assert not [line for line in lines if line.startswith("✓")]
    for path in ("0", "1", "2", "3"):
        assert "its shape has no rows and columns" in of(lines, path)


class Shuffled(nn.Module):
    """Cells change places at random, which no map survives."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.behind = nn.Identity()
        self.head = nn.Linear(8, 5)
        self.order = torch.randperm(144, generator=torch.Generator().manual_seed(0))

    def forward(self, pixels):
        x = torch.fft.ifft(torch.fft.fft(self.stem(pixels).flatten(2)[..., self.order])).real
        return self.head(self.behind(x.reshape(1, 8, 12, 12)).mean((2, 3)))


def test_a_function_that_is_not_followed_is_named_and_what_lies_behind_it_is_measured():
    torch.manual_seed(0)
    lines = report(Shuffled())
    at = lines.index("Functions behind which places are not known any more:")
    assert any(line.startswith("  fft_fft: ") for line in lines[at:])
    assert "not moved by the pixels under them; agreement" in of(lines, "behind")


def test_a_form_that_is_not_known_is_kept_with_its_reason():
    """A product of three, where two are followed: what comes out has no place, and that is told."""
    pixels = torch.rand(1, 3, 4, 4)
    with Places(pixels) as places:
        moved = torch.einsum("bchw,bchw,bchw->bchw", pixels, pixels, pixels)
    assert places.at(moved) is None
    assert set(places.lost) == {"einsum"}


def test_an_error_on_the_way_is_its_reason(monkeypatch):
    pixels = torch.rand(1, 3, 4, 4)

    def fails(*_args):
        raise IndexError("no such axis\nsecond line")

    monkeypatch.setattr(Places, "_move", fails)
    with Places(pixels) as places:
        pixels.flatten(2)
    assert places.lost == {"flatten": "IndexError: no such axis"}


def test_what_nobody_knows_is_still_raised(monkeypatch):
    def fails(*_args):
        raise AssertionError("a mistake of ours")

    monkeypatch.setattr(Places, "_move", fails)
    pixels = torch.rand(1, 3, 4, 4)
    with pytest.raises(AssertionError, match="of ours"), Places(pixels):
        pixels.flatten(2)
