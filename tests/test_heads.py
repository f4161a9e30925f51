"""What a network's outputs mean: softmax, sigmoid, a number, or probabilities already; everything follows it."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import explainers as ex
from explainers.errors import DoesNotApply, ModelError, QuestionError
from explainers.galleries.embedding import embed
from explainers.network.heads import Head, noticed
from explainers.pictures import Framing
from explainers.trace import Target

FRAMING = Framing(size=(32, 32), mode="squash")
PICTURE = (np.random.default_rng(3).random((32, 32, 3)) * 255).astype("uint8")


class Net(nn.Module):
    """Eight features, averaged, into `count` numbers, and `end` of those."""

    def __init__(self, count, end=None, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.fc = nn.Linear(8, count)
        self.end = end or nn.Identity()

    def logits(self, x):
        return 4 * self.fc(self.features(x).mean((2, 3)))

    def forward(self, x):
        return self.end(self.fc(self.features(x).mean((2, 3))) * 4)


class Function(nn.Module):
    """A function that is no module's, as people write it in `forward`."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def two_columns(z):
    p = torch.sigmoid(z)
    return torch.cat([1 - p, p], 1)


ENDS = {
    "logits": (4, None, "softmax"),
    "softmax module": (4, nn.Softmax(-1), "probabilities"),
    "softmax function": (4, Function(lambda z: torch.softmax(z, 1)), "probabilities"),
    "softmax by hand": (4, Function(lambda z: z.exp() / z.exp().sum(1, keepdim=True)), "probabilities"),
    "softmax of two": (2, nn.Softmax(1), "probabilities"),
    "two columns of one sigmoid": (1, Function(two_columns), "probabilities"),
    "mean of two softmaxes": (4, Function(lambda z: (z.softmax(1) + z.flip(1).softmax(1)) / 2), "probabilities"),
    "log_softmax": (4, nn.LogSoftmax(1), "log probabilities"),
    "log of softmax": (3, Function(lambda z: z.softmax(1).log()), "log probabilities"),
    "several sigmoids": (5, nn.Sigmoid(), "sigmoid probabilities"),
    "several hard sigmoids": (3, nn.Hardsigmoid(), "sigmoid probabilities"),
    "sigmoid by hand": (3, Function(lambda z: 1 / (1 + (-z).exp())), "sigmoid probabilities"),
    "one sigmoid": (1, nn.Sigmoid(), "sigmoid probabilities"),
    "one sigmoid, reshaped": (1, Function(lambda z: torch.sigmoid(z).view(-1, 1)), "sigmoid probabilities"),
    "one sigmoid by tanh": (1, Function(lambda z: (torch.tanh(z / 2) + 1) / 2), "sigmoid probabilities"),
    "one logit": (1, None, "sigmoid"),
    "one tanh": (1, nn.Tanh(), "regression"),
    "one count": (1, nn.ReLU(), "regression"),
    "one softplus": (1, nn.Softplus(), "regression"),
    "one cut off": (1, nn.ReLU6(), "regression"),
    "one scaled sigmoid": (1, Function(lambda z: 120 * torch.sigmoid(z)), "regression"),
    "one logit over a temperature": (1, Function(lambda z: z / 0.07), "sigmoid"),
    "logits over a temperature": (4, Function(lambda z: z / 0.07), "softmax"),
    "rectified logits": (4, nn.ReLU(), "softmax"),
}


def expected(z, kind):
    """Probabilities by definition, in double precision, from what stands before the end (1, C)."""
    z = z.detach().double()
    return torch.sigmoid(z) if "sigmoid" in kind else z.softmax(-1)


@pytest.mark.parametrize("end", ENDS)
def test_the_head_is_noticed(end):
    count, last, kind = ENDS[end]
    model = ex.wrap(Net(count, last).eval(), framing=FRAMING)
    assert model.head.kind == kind
    assert bool(model.notes) == (kind != "softmax")


@pytest.mark.parametrize("end", ["logits", "softmax module", "softmax by hand", "log_softmax", "several sigmoids"])
@pytest.mark.parametrize("seed", range(3))
def test_probabilities_are_made_once(end, seed):
    count, last, kind = ENDS[end]
    net = Net(count, last, seed).eval()
    trace = ex.look(ex.wrap(net, framing=FRAMING), PICTURE)
    wanted = expected(net.logits(FRAMING.normalize(trace.pixels)[None]), kind)[0]
    for said in trace.top(count):
        # a sum of `count` exponentials, each good to a few units in the last place of float32
        assert said.probability == pytest.approx(float(wanted[said.index]), abs=16 * count * 2**-24)
    assert [p.probability for p in trace.top(count)] == sorted((p.probability for p in trace.top(count)), reverse=True)


def test_a_linear_end_within_0_and_1_is_no_probability():
    net = Net(3).eval()
    with torch.no_grad():
        net.fc.weight.mul_(1e-3)
        net.fc.bias.copy_(torch.tensor([0.1, 0.12, 0.05]))  # times 4: within 0 and 1, and no share of anything
    assert ex.wrap(net, framing=FRAMING).head.kind == "softmax"
    with torch.no_grad():
        net.fc.bias.copy_(torch.tensor([0.1, 0.1, 0.05]))  # sums to 1
        net.fc.weight.zero_()
    assert ex.wrap(net, framing=FRAMING).head.kind == "softmax"


def test_a_rectified_end_is_no_sigmoid():
    net = Net(3, nn.ReLU()).eval()
    with torch.no_grad():
        net.fc.weight.mul_(1e-2)
        net.fc.bias.fill_(0.1)
    assert "sigmoid" not in ex.wrap(net, framing=FRAMING).head.kind


@pytest.mark.parametrize(("end", "kind"), [(nn.Softmax(1), "probabilities"), (nn.Sigmoid(), "sigmoid probabilities")])
def test_without_a_graph_values_alone_tell(end, kind):
    class Frozen(Net):
        def forward(self, x):
            with torch.no_grad():
                return super().forward(x)

    model = ex.wrap(Frozen(4, end).eval(), framing=FRAMING)
    assert model.head.kind == kind
    assert ex.wrap(Frozen(4).eval(), framing=FRAMING).head.kind == "softmax"


def test_ordinary_outputs_cost_no_pass():
    def never(_):
        raise AssertionError("the network ran again")

    assert noticed(never, torch.zeros(1, 3, 8, 8), torch.tensor([[1.5, -0.2, 0.3]]))[0] == Head()


def test_a_softmax_over_one_output_is_refused():
    for end in (nn.Softmax(1), nn.LogSoftmax(1)):
        with pytest.raises(ModelError, match="single output"):
            ex.wrap(Net(1, end).eval(), framing=FRAMING)
    with pytest.raises(ModelError, match="single output"):
        ex.wrap(Net(1).eval(), framing=FRAMING, head="softmax")


def test_what_is_said_wins():
    net = Net(1).eval()
    assert ex.wrap(net, framing=FRAMING, head="regression").head.kind == "regression"
    assert not ex.wrap(net, framing=FRAMING, head="sigmoid").notes
    model = ex.wrap(net, framing=FRAMING, head=Head("regression", unit="years"), labels=["age"])
    said = ex.look(model, PICTURE).top(1)[0]
    number = float(net(FRAMING.normalize(ex.look(model, PICTURE).pixels)[None]).detach())
    assert said.probability is None
    assert said.logit == pytest.approx(number, abs=1e-6)
    assert said.told == f"{said.logit:.4g} years".replace("-", "−")
    with pytest.raises(ModelError, match="one of softmax, sigmoid"):
        ex.wrap(net, framing=FRAMING, head="softmin")
    with pytest.raises(ModelError, match="unit"):
        Head("sigmoid", unit="years")


SCORES = {
    "softmax": {
        "centered_logit": lambda z: z - z.mean(),
        "logit": lambda z: z,
        "log_prob": lambda z: z.log_softmax(0),
        "probability": lambda z: z.softmax(0),
    },
    "sigmoid": {
        "logit": lambda z: z,
        "log_prob": lambda z: torch.sigmoid(z).log(),
        "probability": lambda z: torch.sigmoid(z),
    },
}
PAIRS = [
    ("softmax", None, "softmax"),
    ("probabilities", nn.Softmax(1), "softmax"),
    ("log probabilities", nn.LogSoftmax(1), "softmax"),
    ("sigmoid", None, "sigmoid"),
    ("sigmoid probabilities", nn.Sigmoid(), "sigmoid"),
]


@pytest.mark.parametrize(("kind", "end", "like"), PAIRS)
@pytest.mark.parametrize("versus", [None, 2])
def test_scores_and_their_slopes_are_those_of_the_logits(kind, end, like, versus):
    """The same in double precision as when the score is made from what stands before the end."""
    net = Net(4, end).double().eval()
    model = ex.wrap(net, framing=FRAMING, head=kind)
    trace = ex.look(model, PICTURE)
    leaf = trace.pixels.double().clone().requires_grad_()
    z = net.logits(FRAMING.normalize(leaf)[None])[0]
    for name, score in SCORES[like].items():
        if name not in model.head.scores or (kind == "log probabilities" and name == "logit"):
            continue  # what a softmax adds to all logits alike is lost
        values = score(z)
        wanted = values[1] - (0 if versus is None else values[versus])
        (slopes,) = torch.autograd.grad(wanted, leaf, retain_graph=True)
        view = trace.ask(Target(1, versus, name))
        # logits are made from probabilities of about 0.1 with an error of 2⁻⁵³ / 0.1; a thousand such is 1e-12
        assert float(view.target.of(trace.logits)) == pytest.approx(float(wanted.detach()), abs=1e-12)
        assert torch.allclose(view.pixel_slopes().double(), slopes, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "regression", "probabilities", "sigmoid probabilities"])
def test_the_default_score_is_the_first(kind):
    head = Head(kind)
    assert Target(0, head=head).explained == head.default == head.scores[0]
    assert Target(0, score="probability", head=head).explained == ("output" if kind == "regression" else "probability")


def test_several_labels_are_explained_each_by_itself():
    net = Net(4).double().eval()
    model = ex.wrap(net, framing=FRAMING, head="sigmoid", labels=["cat", "dog", "owl", "eel"])
    trace = ex.look(model, PICTURE)
    why = ex.explain(trace, "gradient", target="owl")
    assert (why.score, why.subject) == ("logit", "owl")
    with torch.no_grad():
        net.fc.weight[0] += 100  # another label's weights, which a centered logit would depend on
    trace = ex.look(model, PICTURE)
    assert np.array_equal(why.native, ex.explain(trace, "gradient", target="owl").native)
    assert sum(p.probability for p in trace.top(4)) != pytest.approx(1, abs=1e-3)
    assert ex.explain(trace, "gradient", target="owl", versus="eel").subject == "owl rather than eel"


def test_one_sigmoid_is_yes_rather_than_no():
    model = ex.wrap(Net(1, nn.Sigmoid()).eval(), framing=FRAMING)
    why = ex.explain(ex.look(model, PICTURE), "grad_cam")
    assert why.subject == "yes rather than no"
    assert why.unit == "logit points per cell"
    named = ex.wrap(Net(1, nn.Sigmoid()).eval(), framing=FRAMING, labels=["tumor"])
    assert ex.explain(ex.look(named, PICTURE), "grad_cam").subject == "tumor rather than not tumor"
    pair = ex.wrap(Net(1).eval(), framing=FRAMING, labels=["cat", "dog"], head="sigmoid")
    assert (pair.labels, pair.head.no) == (("dog",), "cat")
    assert ex.explain(ex.look(pair, PICTURE), "grad_cam").subject == "dog rather than cat"
    assert pair.head.decisions(pair.labels) == ("cat", "dog")
    with pytest.raises(QuestionError, match="ask about “dog”"):
        pair.index("cat")
    with pytest.raises(ModelError, match="one number"):
        ex.wrap(Net(1).eval(), framing=FRAMING, labels=["cat", "dog"], head="regression")
    with pytest.raises(QuestionError, match="yes rather than no"):
        ex.explain(ex.look(model, PICTURE), "grad_cam", versus="yes")


def test_a_regression_is_higher_rather_than_lower():
    model = ex.wrap(Net(1).eval(), framing=FRAMING, head=Head("regression", unit="years"), labels=["age"])
    trace = ex.look(model, PICTURE)
    why = ex.explain(trace, "input_x_gradient")
    assert (why.subject, why.score, why.unit) == ("age in years", "output", "years")
    other = ex.explain(trace, "input_x_gradient", score="probability")
    assert np.array_equal(why.native, other.native)
    assert any("no score “probability”" in note for note in other.notes)
    assert not any("score" in note for note in why.notes)
    with pytest.raises(QuestionError, match="no rivals"):
        ex.explain(ex.look(ex.wrap(Net(2).eval(), framing=FRAMING, head="regression"), PICTURE), "gradient", versus=1)
    json.dumps(why.payload())
    assert why.payload()["target"]["unit"] == "years"


def test_several_numbers_are_asked_about_one_by_one_the_first_first():
    net = Net(3).eval()
    with torch.no_grad():
        net.fc.bias.copy_(torch.tensor([-5.0, 0.0, 5.0]))
    model = ex.wrap(net, framing=FRAMING, head="regression")
    assert model.labels == ("value 0", "value 1", "value 2")
    trace = ex.look(model, PICTURE)
    assert trace.class_index == 0
    assert [p.index for p in trace.top(3)] == [0, 1, 2]


@pytest.mark.parametrize("method", ["deeplift", "integrated_gradients", "occlusion", "kernel_shap", "grad_cam"])
@pytest.mark.parametrize("end", ["softmax module", "log_softmax", "several sigmoids", "one sigmoid", "one tanh"])
def test_what_adds_up_still_does(method, end):
    count, last, _ = ENDS[end]
    model = ex.wrap(Net(count, last).double().eval(), framing=FRAMING)
    options = {"steps": 300} if method == "integrated_gradients" else {}
    why = ex.explain(ex.look(model, PICTURE), method, **options)
    assert not why.blank
    if method == "deeplift":
        assert why.heatmap.adds_up.residual < 1e-9
    if method == "integrated_gradients":
        assert why.heatmap.adds_up.residual < 1e-2


def test_cam_needs_scores_that_are_linear_in_the_maps():
    with pytest.raises(DoesNotApply, match="linear head"):
        ex.explain(ex.look(ex.wrap(Net(4, nn.Softmax(1)).eval(), framing=FRAMING), PICTURE), "cam")


def test_saturated_outputs_are_said():
    net = Net(3, nn.Sigmoid()).eval()
    with torch.no_grad():
        net.fc.bias.copy_(torch.tensor([10.0, 3.5, 0.0]))  # times 4
    trace = ex.look(ex.wrap(net, framing=FRAMING), PICTURE)
    assert any("1 to the last digit" in note for note in ex.explain(trace, "gradient", target=0).notes)
    blank = ex.explain(trace, "grad_cam", target=0)
    assert blank.blank
    assert not any("Nothing here raises" in note for note in blank.notes)
    assert any("good to" in note for note in ex.explain(trace, "gradient", target=1).notes)
    assert not any("sigmoid" in note for note in ex.explain(trace, "gradient", target=2).notes)
    assert not any("sigmoid" in n for n in ex.explain(trace, "gradient", target=0, score="probability").notes)
    net = Net(3, nn.Softmax(1)).eval()
    with torch.no_grad():
        net.fc.bias.copy_(torch.tensor([30.0, 0.0, 0.0]))
    why = ex.explain(ex.look(ex.wrap(net, framing=FRAMING), PICTURE), "gradient")
    assert any("are 0 in the network's" in note for note in why.notes)
    assert np.isfinite(why.native).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("end", ["softmax module", "one sigmoid", "log_softmax", "several sigmoids"])
def test_other_number_types_are_noticed_as_well(dtype, end):
    count, last, kind = ENDS[end]
    model = ex.wrap(Net(count, last).to(dtype).eval(), framing=FRAMING)
    assert model.head.kind == kind
    why = ex.explain(ex.look(model, PICTURE), "grad_cam")
    assert np.isfinite(why.native).all()
    assert 0 < why.prediction.probability <= 1


def test_half_precision_makes_no_slope_that_is_none():
    net = Net(3, nn.Softmax(1)).half().eval()
    with torch.no_grad():
        net.fc.bias.copy_(torch.tensor([3.0, 0.0, 0.0]))  # times 4: the others are 6e-6, where 1 / p overflows
    why = ex.explain(ex.look(ex.wrap(net, framing=FRAMING), PICTURE), "gradient")
    assert np.isfinite(why.native).all()


# --- everything follows the head -------------------------------------------------------------------------------------

HEADS = {
    "softmax": lambda: ex.wrap(Net(4).eval(), framing=FRAMING),
    "probabilities": lambda: ex.wrap(Net(4, nn.Softmax(1)).eval(), framing=FRAMING),
    "sigmoids": lambda: ex.wrap(Net(4).eval(), framing=FRAMING, head="sigmoid"),
    "one sigmoid": lambda: ex.wrap(Net(1, nn.Sigmoid()).eval(), framing=FRAMING),
    "number": lambda: ex.wrap(Net(1).eval(), framing=FRAMING, head=Head("regression", "years"), labels=["age"]),
}


@pytest.mark.parametrize("head", HEADS)
def test_the_scorecard_follows_the_head(head):
    trace = ex.look(HEADS[head](), PICTURE)
    card = ex.judge(trace, ex.explain(trace, "grad_cam", signed=True))
    best = trace.top(1)[0]
    assert card.probability == best.probability
    assert (card.keep is None) == (best.probability is None or card.blank)
    assert math.isfinite(card.score)
    json.dumps(card.payload())
    assert all(isinstance(each, str) for each in card.caveats)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("method", ["robustness", "augment", "cutmix", "mixup"])
def test_augmentation_follows_the_head(head, method):
    trace = ex.look(HEADS[head](), PICTURE)
    options = {"points": 3} if method != "augment" else {"samples": 2}
    result = ex.explain(trace, method, **options).result
    best = trace.top(1)[0]
    match method:
        case "robustness":
            curve, middle = result.lines[0], result.lines[0].values[1]  # not turned
            assert curve.label == ("value" if head == "number" else "probability")
            assert middle == pytest.approx(best.logit if head == "number" else best.probability, abs=2e-2)
            assert len(result.lines) == (1 if head in ("number", "one sigmoid") else 2)
        case "augment":
            told = best.told
            if head == "one sigmoid" and best.probability < 0.5:
                told = f"{1 - best.probability:.0%}".replace("%", " %")
            assert told in result.tiles[0].caption
        case _:
            name = ("value" if head == "number" else "probability") + f" of {best.label}"
            (line,) = [each for each in result.lines if each.label == name]
            assert line.values[-1] == pytest.approx(best.logit if head == "number" else best.probability, abs=1e-5)


def test_one_sigmoid_flips_where_it_passes_one_half():
    head = Head("sigmoid", single=True)
    decided, sure = head.decided(torch.tensor([[2.0], [-3.0]]))
    assert head.decisions(("tumor",)) == ("not tumor", "tumor")
    assert decided.tolist() == [1, 0]
    assert sure.tolist() == pytest.approx([1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-3))], abs=1e-6)


def test_a_gallery_calls_pictures_as_the_head_does():
    pixels = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for make in HEADS.values():
        model = make()
        found = embed(model, pixels)
        outputs = ex.look(model, PICTURE).logits_at(pixels)
        if model.head.kind == "regression":
            assert found.predicted.tolist() == [-1, -1, -1]
            assert model.head.decisions(model.labels) == ()
        elif model.head.single:
            wanted = outputs if model.head.kind == "sigmoid probabilities" else outputs.sigmoid()
            assert torch.allclose(found.confidence, torch.maximum(wanted, 1 - wanted)[:, 0])
        else:
            assert torch.equal(found.predicted, outputs.argmax(1))


def test_an_imagined_class_follows_the_head():
    model = HEADS["number"]()
    *_, last = ex.engine.stream(model, "imagine_class", target="age", how="naive", steps=8, pictures=1)
    assert last.result.unit == "years"
    assert last.prediction.told == ""


def test_no_other_file_makes_probabilities():
    package = Path(ex.__file__).parent
    made = re.compile(r"(logits|outputs?|answers?)\b[^\n]*\.(log_)?(softmax|sigmoid)\(")
    found = {str(p.relative_to(package)) for p in package.rglob("*.py") if made.search(p.read_text("utf-8"))}
    assert found <= {"network/heads.py"}


class Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x / 2

    @staticmethod
    def backward(ctx, slope):
        return slope / 2


class Custom(nn.Module):
    """One number, the last operation of which is a stranger's own."""

    def __init__(self):
        super().__init__()
        self.score = nn.Linear(3, 1, bias=False)

    def forward(self, x):
        return Halved.apply(self.score(x.mean((2, 3))))


def test_a_network_may_end_in_a_function_of_its_own():
    model = ex.wrap(Custom().eval(), framing=Framing(size=(8, 8)))
    assert model.head.kind == "sigmoid"
    assert ex.look(model, np.full((8, 8, 3), 90, np.uint8)).top(1)
