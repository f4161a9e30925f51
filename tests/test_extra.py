"""Knows that what a network takes beside pictures is fixed once, and that nothing else about it changes."""

import numpy as np
import pytest
import torch
from torch import nn

import explainers as ex
from explainers.errors import ModelError
from explainers.pictures import Framing

FRAMING = Framing(size=24, mode="squash")


class Beside(nn.Module):
    """A network of pictures and a few numbers beside them, as people build for metadata."""

    def __init__(self, late=True):
        super().__init__()
        torch.manual_seed(0)
        self.maps = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2), nn.ReLU())
        self.numbers, self.head, self.late = nn.Linear(4, 8), nn.Linear(16 if late else 8, 3), late

    def forward(self, pictures, numbers, scale=1.0):
        maps = self.maps(pictures)
        beside = self.numbers(numbers)
        if not self.late:  # the numbers gate the channels
            return self.head((maps * torch.sigmoid(beside)[:, :, None, None]).mean((2, 3))) * scale
        return self.head(torch.cat([maps.mean((2, 3)), beside], 1)) * scale


def numbers(seed=0):
    return torch.randn(1, 4, generator=torch.Generator().manual_seed(seed))


def picture():
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        (numbers(), (numbers(), 1.0)),
        ((numbers(), 3.0), (numbers(), 3.0)),
        ([numbers(1)], (numbers(1), 1.0)),
        ({"numbers": numbers(), "scale": 0.5}, (numbers(), 0.5)),
    ],
)
def test_the_network_is_asked_with_it(extra, arguments, late):
    module = Beside(late).eval()
    c = ex.wrap(module, framing=FRAMING, extra=extra)
    trace = ex.look(c, picture())
    fed = c.framing.normalize(trace.pixels)[None]
    with torch.no_grad():
        assert torch.equal(trace.logits, module(fed, *arguments)[0])
        several = torch.cat([fed, fed.flip(-1), fed.flip(-2)])
        rows = module(several, arguments[0].expand(3, -1), arguments[1])
    pixels = torch.stack([trace.pixels, trace.pixels.flip(-1), trace.pixels.flip(-2)])
    assert torch.allclose(trace.logits_at(pixels), rows, atol=1e-6)


@pytest.mark.parametrize("late", [True, False])
def test_methods_answer_and_parts_keep_their_names(late):
    c = ex.wrap(Beside(late).eval(), framing=FRAMING, extra=numbers())
    trace = ex.look(c, picture())
    for name in ("grad_cam", "layer_cam", "score_cam", "deeplift", "integrated_gradients", "occlusion", "rise", "lime"):
        answer = ex.explain(trace, name)
        assert np.isfinite(answer.heat).all()
        assert answer.heat.any()
    assert trace.site("last").point.path == "maps"
    maps = trace.maps()
    scores = trace.score_from(torch.stack([maps, maps / 2, maps]))
    assert torch.allclose(scores[[0, 2]], trace.score(trace.pixels[None]), atol=1e-6)
    nothing = trace.baseline("gray")
    there, gray = trace.score(torch.stack([trace.pixels, nothing]))
    assert ex.explain(trace, "deeplift").result.adds_up.parts == pytest.approx(float(there - gray), abs=1e-5)
    assert ex.judge(trace, ex.explain(trace, "grad_cam")).spent.forwards


def test_it_matters_which_numbers_are_fixed_and_nothing_is_written_on_them():
    given = numbers().requires_grad_()
    module = Beside().eval()
    one, other = (ex.wrap(module, framing=FRAMING, extra=each) for each in (given, numbers(5)))
    traces = [ex.look(c, picture()) for c in (one, other)]
    assert not torch.equal(traces[0].logits, traces[1].logits)
    ex.explain(traces[0], "gradient")
    assert given.grad is None
    assert [name for name, _ in module.named_parameters()] == [name for name, _ in Beside().named_parameters()]


def test_outputs_and_own_targets_go_with_it():
    class Told(Beside):
        def forward(self, pictures, numbers):
            return {"scores": super().forward(pictures, numbers), "features": self.maps(pictures)}

    c = ex.wrap(Told().eval(), framing=FRAMING, extra={"numbers": numbers()}, output="scores")
    trace = ex.look(c, picture())
    assert trace.logits.shape == (3,)
    answer = ex.explain(trace, "gradient", target=lambda out: out["features"].mean((1, 2, 3)))
    assert answer.heat.any()
    assert ex.wrap(Told().eval(), framing=FRAMING, extra=numbers(), head="none").headless


def test_a_network_of_two_inputs_is_told_how():
    with pytest.raises(ModelError, match=r"numbers.*extra="):
        ex.wrap(Beside().eval(), framing=FRAMING)
    with pytest.raises(ModelError, match=r"Beside does not take"):
        ex.wrap(Beside().eval(), framing=FRAMING, extra=(numbers(), 1.0, 2.0, 3.0))
