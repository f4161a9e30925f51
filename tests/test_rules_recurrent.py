"""DeepLIFT through recurrent layers: the fused call's numbers, the cells' multipliers, and a sum that holds."""

import numpy as np
import pytest
import torch
from differing import held, missed
from test_rules_sums import EXACT, PAIRS
from torch import nn

import explainers as ex
from explainers.errors import DoesNotApply
from explainers.pictures import Framing

LAYERS = {
    "LSTM": nn.LSTM(6, 5, batch_first=True),
    "LSTM, time first": nn.LSTM(6, 5),
    "LSTM, both ways, two layers": nn.LSTM(6, 5, 2, batch_first=True, bidirectional=True),
    "LSTM, projected": nn.LSTM(6, 5, 2, proj_size=3, bidirectional=True),
    "LSTM without bias": nn.LSTM(6, 5, bias=False),
    "GRU": nn.GRU(6, 5, 2, batch_first=True, bidirectional=True),
    "GRU without bias": nn.GRU(6, 5, bias=False),
    "RNN": nn.RNN(6, 5, 2, bidirectional=True),
    "RNN with ReLU": nn.RNN(6, 5, nonlinearity="relu", batch_first=True),
}
CELLS = {
    "LSTM cell": nn.LSTMCell(6, 5),
    "GRU cell": nn.GRUCell(6, 5),
    "RNN cell": nn.RNNCell(6, 5),
    "RNN cell with ReLU": nn.RNNCell(6, 5, nonlinearity="relu", bias=False),
}


def layered(layer):
    """One number of all that a recurrent layer gives: what it shows at each step, and its states at the end."""

    def function(x):
        shown, state = layer(x.view(2, 2, 6))
        ends = state if isinstance(state, tuple) else (state,)
        return (shown * torch.arange(shown.shape[-1])).sum() + sum(end.square().sum() for end in ends)

    return function


def stepped(cell):
    """One number of a cell that is called for one row after another."""

    def function(x):
        state = None
        for row in x:
            state = cell(row[None], state)
        return sum(each.square().sum() for each in (state if isinstance(state, tuple) else (state,)))

    return function


FUNCTIONS = {name: layered(layer.double().eval()) for name, layer in LAYERS.items()}
FUNCTIONS |= {name: stepped(cell.double().eval()) for name, cell in CELLS.items()}


@pytest.mark.parametrize("pair", ["unrelated", "from nothing", "still in both"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_parts_add_up_through(name, pair):
    assert missed(FUNCTIONS[name], *PAIRS[pair]) < EXACT


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_comes_out_is_what_the_layer_gives(name):
    x, x0 = PAIRS["unrelated"]
    _, after, before, _ = held(FUNCTIONS[name], x, x0)
    with torch.no_grad():
        assert float(after) == float(FUNCTIONS[name](x))
        assert float(before) == float(FUNCTIONS[name](x0))


def test_a_state_that_is_given_moves_too():
    layer = nn.LSTM(3, 3).double().eval()

    def function(x):
        return layer(x[None, :1, :3], (x[None, 1:2, :3], x[None, 2:3, 3:]))[0].sum()

    for pair in ("unrelated", "from nothing"):
        assert missed(function, *PAIRS[pair]) < EXACT


def test_one_step_worked_out_by_hand():
    # An RNN of one unit, weights one: tanh(x₀), then tanh(x₁ + that). Rescale: each tanh hands on Δy/Δx.
    layer = nn.RNN(1, 1, bias=False).double().eval()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.fill_(1)
    x = torch.tensor([0.5, 1.0], dtype=torch.float64)
    m, *_ = held(lambda x: layer(x.view(2, 1, 1))[0][-1].sum(), x, torch.zeros_like(x))
    first, inner = np.tanh(0.5) / 0.5, 1 + np.tanh(0.5)
    last = np.tanh(inner) / inner
    assert m.tolist() == pytest.approx([first * last, last])


def test_a_packed_sequence_is_refused_in_words():
    layer = nn.LSTM(6, 5, batch_first=True).double().eval()

    def function(x):
        packed = nn.utils.rnn.pack_padded_sequence(x[None], [4], batch_first=True)
        return layer(packed)[1][0].sum()

    with pytest.raises(DoesNotApply, match="packed sequence"):
        held(function, *PAIRS["unrelated"])


class Columns(nn.Module):
    """Columns of a small picture's maps, read from left to right and back."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.maps = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU())
        self.read, self.head = kind(32, 8, batch_first=True, bidirectional=True), nn.Linear(16, 3)

    def forward(self, x):
        columns = self.maps(x).permute(0, 3, 1, 2).flatten(2)
        return self.head(self.read(columns)[0][:, -1])


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_network_that_reads_columns_sums(kind, rule):
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    model = ex.wrap(Columns(kind).double().eval(), framing=Framing(size=(16, 16), mode="squash"))
    e = ex.explain(ex.look(model, picture), "deeplift", target=1, reference="black", rule=rule)
    assert e.result.adds_up.residual < EXACT
    assert e.result.note is None
