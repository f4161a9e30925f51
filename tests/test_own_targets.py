"""Scores of one's own: a function of what a network puts out, in place of a class."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import explainers as ex
from explainers.errors import DoesNotApply, ModelError, QuestionError
from explainers.network.outputs import OwnTarget
from explainers.pictures import Framing
from explainers.trace import Target

FRAMING = Framing(size=(32, 32), mode="squash")
PICTURE = (np.random.default_rng(7).random((32, 32, 3)) * 255).astype("uint8")


class Segmenter(nn.Module):
    """Maps of 3 classes, drawn up to the picture's size; returned in a dict, as torchvision does."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, 2, 1), nn.ReLU())
        self.top = nn.Conv2d(6, 3, 1)

    def forward(self, x):
        up = nn.functional.interpolate(self.top(self.body(x)), x.shape[-2:], mode="bilinear")
        return {"out": up, "aux": up * 2}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


MASK = torch.zeros(32, 32, dtype=torch.bool)
MASK[4:20, 6:18] = True


def over_mask(out):
    """class 1 in the box, rather than class 0."""
    return (out["out"][:, 1] - out["out"][:, 0])[:, MASK].mean(1)


def second_logit(out):
    return out[:, 2]


def segmenter():
    return ex.wrap(Segmenter().double().eval(), framing=FRAMING, head="none")


def test_a_segmentation_over_a_mask_has_the_slopes_of_the_function():
    model = segmenter()
    trace = ex.look(model, PICTURE)
    why = ex.explain(trace, "input_x_gradient", target=over_mask)
    leaf = trace.pixels.clone().requires_grad_()
    score = over_mask(Segmenter().double().eval()(FRAMING.normalize(leaf)[None]))
    (slopes,) = torch.autograd.grad(score.sum(), leaf)
    gray = ex.look(model, PICTURE).baseline("gray")
    wanted = ((trace.pixels - gray) * slopes).sum(0).detach().numpy()
    assert why.native == pytest.approx(wanted, rel=1e-5, abs=1e-6 * np.abs(wanted).max())
    assert why.prediction.logit == pytest.approx(float(score.detach()[0]), abs=1e-9)
    assert why.subject == "class 1 in the box, rather than class 0"
    assert why.question == "If the score of class 1 in the box, rather than class 0 went on as steeply as here, what " \
        "would each pixel add to it?"  # fmt: skip


METHODS = ["grad_cam", "layer_cam", "deeplift", "integrated_gradients", "occlusion", "rise", "kernel_shap", "score_cam"]


@pytest.mark.parametrize("method", METHODS)
def test_methods_of_every_kind_take_a_target_function(method):
    trace = ex.look(segmenter(), PICTURE)
    options = {"rise": {"samples": 64}, "integrated_gradients": {"steps": 128}}.get(method, {})
    why = ex.explain(trace, method, target=OwnTarget(over_mask, "box", unit="points of box"), **options)
    assert not why.blank
    assert np.isfinite(why.native).all()
    assert "logit" not in why.unit
    if why.heatmap.adds_up:
        assert why.heatmap.adds_up.residual < (1e-9 if method == "deeplift" else 2e-2)
    card = ex.judge(trace, why)
    assert (card.label, card.probability, card.keep) == ("box", None, None)
    assert card.score == pytest.approx(why.prediction.logit, abs=1e-9)


@pytest.mark.parametrize("method", ["grad_cam", "deeplift", "occlusion", "gradient", "hires_cam"])
def test_a_logit_by_function_is_that_class_by_its_logit(method):
    trace = ex.look(ex.wrap(Net().double().eval(), framing=FRAMING), PICTURE)
    own, known = ex.explain(trace, method, target=second_logit), ex.explain(trace, method, target=2, score="logit")
    assert np.allclose(own.native, known.native, rtol=1e-6, atol=1e-9)
    assert own.subject == "second logit"
    assert own.unit.startswith("points")


def test_a_similarity_to_another_picture():
    backbone = ex.wrap(nn.Sequential(*list(Net().features), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval(),
                       labels=(), framing=FRAMING)  # fmt: skip
    other = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    reference = ex.look(backbone, PICTURE).logits_at(other[None])[0]

    def alike(embedding):
        return nn.functional.cosine_similarity(embedding, reference[None])

    trace = ex.look(backbone, PICTURE)
    why = ex.explain(trace, "grad_cam", target=alike, signed=True)
    assert why.prediction.logit == pytest.approx(float(alike(trace.logits[None])), abs=1e-6)
    assert not why.blank
    with pytest.raises(DoesNotApply, match="backbone"):
        ex.explain(trace, "grad_cam")


def test_passes_are_shared_for_one_function():
    trace = ex.look(segmenter(), PICTURE)
    first, second = ex.compare(trace, ["grad_cam", "layer_cam"], target=over_mask)
    assert first.spent.forwards == 1
    assert second.spent.forwards == 0
    assert ex.explain(trace, "grad_cam", target=over_mask).spent.forwards == 0


def test_attention_methods_take_a_target_function():
    model = ex.wrap(Attending().eval(), framing=FRAMING)
    trace = ex.look(model, PICTURE)
    own = ex.explain(trace, "grad_sam", target=second_logit)
    known = ex.explain(trace, "grad_sam", target=2, score="logit")
    assert np.allclose(own.native, known.native, rtol=1e-5, atol=1e-8)


class Attending(nn.Module):
    """One class token, 16 patches, two layers of attention."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True) for _ in range(2)
        )
        self.fc = nn.Linear(16, 4)

    def forward(self, x):
        x = self.patches(x).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        for layer in self.layers:
            x = layer(x)
        return self.fc(x[:, 0])


WRONG = {
    "one for all": (lambda out: out["out"].mean(), r"gives \(\) for 1 picture;.*\(1,\)"),
    "the first alone": (lambda out: out["out"][0].mean((1, 2)), r"gives \(3,\) for 1 picture;"),
    "a map": (lambda out: out["out"][:, 0], r"gives \(1, 32, 32\)"),
    "a number": (lambda out: 3.0, "gives float"),
    "whole numbers": (lambda out: out["out"].flatten(1).argmax(1), "gives int64"),
    "one for any number of pictures": (lambda out: out["out"].mean()[None], r"gives \(1,\) for 2 pictures"),
    "a missing key": (lambda out: out["logits"].mean(1), "fails on what the network puts out.*KeyError"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_function_that_gives_something_else_is_told(what):
    function, words = WRONG[what]
    with pytest.raises(QuestionError, match=words):
        ex.explain(ex.look(segmenter(), PICTURE), "grad_cam", target=function)


def test_a_network_without_classes_says_what_it_wants():
    model = segmenter()
    with pytest.raises(DoesNotApply, match="target=a function"):
        ex.explain(ex.look(model, PICTURE), "grad_cam")
    with pytest.raises(DoesNotApply, match="target=a function"):
        ex.look(model, PICTURE).top()
    with pytest.raises(QuestionError, match="leave `versus` out"):
        ex.explain(ex.look(model, PICTURE), "grad_cam", target=over_mask, versus=1)
    assert all("target=a function" in fit.why_not for fit in ex.methods(model))
    with pytest.raises(ModelError, match="leave `labels` and `output` out"):
        ex.wrap(Segmenter().eval(), framing=FRAMING, head="none", output="out")
    with pytest.raises(ModelError, match='head="none"'):
        ex.wrap(Segmenter().eval(), framing=FRAMING)


def test_a_score_that_no_slope_reaches_is_no_map():
    def decided(out):
        """how many pixels of the box are class 1."""
        return (out["out"].argmax(1) == 1)[:, MASK].double().mean(1)

    trace = ex.look(segmenter(), PICTURE)
    with pytest.raises(DoesNotApply):
        ex.explain(trace, "grad_cam", target=decided)
    assert ex.explain(trace, "occlusion", target=decided).prediction.label == "how many pixels of the box are class 1"


def test_names_units_and_code():
    def box(out):
        return over_mask(out)

    trace = ex.look(segmenter(), PICTURE)
    why = ex.explain(trace, "input_x_gradient", target=OwnTarget(box, "the box", unit="points of class 1"))
    assert why.unit == "points of class 1"
    assert "target=box" in why.code()
    assert why.payload()["target"] == {
        "label": "the box", "index": 0, "probability": None, "logit": why.prediction.logit, "unit": "points of class 1",
    }  # fmt: skip
    assert ex.explain(trace, "grad_cam", target=lambda out: over_mask(out)).subject == "the target"
    assert OwnTarget.of(box) == OwnTarget.of(box)
    assert hash(OwnTarget.of(box)) == hash(OwnTarget.of(box))


def test_a_class_is_imagined_by_function():
    *_, last = ex.engine.stream(segmenter(), "imagine_class", target=over_mask, how="naive", steps=16, pictures=1)
    assert last.result.unit == "points"


def test_nothing_is_left_on_the_network():
    net = Segmenter().eval()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    ex.explain(ex.look(ex.wrap(net, framing=FRAMING, head="none"), PICTURE), "grad_cam", target=over_mask)
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())
    assert not any(m._forward_hooks or m.training for m in net.modules())


# --- torchvision's own networks --------------------------------------------------------------------------------------

SEGMENTATION = ["lraspp_mobilenet_v3_large", "fcn_resnet50", "deeplabv3_mobilenet_v3_large"]


@pytest.mark.parametrize("name", SEGMENTATION)
def test_segmentation_networks_of_torchvision(name):
    torch.manual_seed(0)
    net = getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None, num_classes=4).eval()
    model = ex.wrap(net, framing=Framing(size=(64, 64), mode="squash"), head="none")
    mask = torch.zeros(64, 64)
    mask[:32, :32] = 1

    def corner(out):
        """Class 2 in the upper left quarter."""
        return (out["out"][:, 2] * mask).sum((1, 2)) / mask.sum()

    trace = ex.look(model, PICTURE)
    why = ex.explain(trace, "grad_cam", target=corner, signed=True)
    with torch.no_grad():
        score = float(corner(net(model.framing.normalize(trace.pixels)[None]))[0])
    assert why.prediction.logit == pytest.approx(score, rel=1e-4, abs=1e-6)
    assert not why.blank


def test_a_detector_of_torchvision():
    torch.manual_seed(0)
    net = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3, score_thresh=0.0, detections_per_img=20
    ).eval()
    model = ex.wrap(net, framing=Framing(size=(64, 64), mode="squash", mean=(0, 0, 0), std=(1, 1, 1)), head="none")

    def best_box(found):
        """The score of the surest box."""
        return torch.stack([each["scores"].max() for each in found])

    trace = ex.look(model, PICTURE)
    why = ex.explain(trace, "gradient", target=best_box)
    with torch.no_grad():
        score = float(net(trace.pixels[None])[0]["scores"].max())
    assert why.prediction.logit == pytest.approx(score, rel=1e-4)
    assert not why.blank
    assert not ex.explain(trace, "grad_cam", target=best_box, signed=True).blank
    assert trace.owned(OwnTarget.of(best_box)).ask(Target(0)).class_index == 0


def test_the_examples_run():
    torch.manual_seed(0)
    run = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "own_targets.py"))
    units = {"segmented": "logit points per cell", "detected": "points", "alike": "points of cosine per cell"}
    for name, unit in units.items():
        why = run[name]()
        assert unit in why.unit
        assert np.isfinite(why.native).all()
        assert why.own.name in why.alt
