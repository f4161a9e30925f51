"""Networks that return something else than (N, classes): where the numbers are, and what is said if unclear."""

import collections
import dataclasses
import typing
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from torch import nn

import explainers as ex
from explainers.errors import ModelError
from explainers.pictures import Framing
from explainers.trace import Target

FRAMING = Framing(size=(32, 32), mode="squash")
PICTURE = (np.random.default_rng(5).random((32, 32, 3)) * 255).astype("uint8")


class Answer(typing.NamedTuple):
    logits: torch.Tensor
    features: torch.Tensor


@dataclasses.dataclass
class Told:
    scores: torch.Tensor
    maps: torch.Tensor


class Net(nn.Module):
    """Features (8, 16, 16), averaged, into `count` logits; returned as `pack` puts them."""

    def __init__(self, pack=lambda y, f: y, count=4):
        super().__init__()
        torch.manual_seed(1)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
        self.fc = nn.Linear(8, count)
        self.pack = pack

    def forward(self, x):
        f = self.features(x)
        return self.pack(self.fc(f.mean((2, 3))), f)


def wrapped(pack, count=4, **more):
    return ex.wrap(Net(pack, count).eval(), framing=FRAMING, **more)


FOUND = {
    "dict": lambda y, f: {"logits": y},
    "dict with maps": lambda y, f: {"maps": f, "out": y},
    "ordered dict": lambda y, f: collections.OrderedDict(prediction=y, maps=f),
    "tuple": lambda y, f: (y, f),
    "maps first": lambda y, f: (f, y),
    "list of one": lambda y, f: [y],
    "namedtuple": lambda y, f: Answer(y, f),
    "dataclass": lambda y, f: Told(y, f),
    "object": lambda y, f: SimpleNamespace(logits=y, features=f),
    "transformers": lambda y, f: transformers.modeling_outputs.ImageClassifierOutput(logits=y, hidden_states=(f, f)),
    "nested": lambda y, f: {"aux": [f, f], "main": {"y": (y,)}},
    "two rows, one called logits": lambda y, f: {"embedding": f.mean((2, 3)), "logits": y},
    "with a loss": lambda y, f: (None, y, f),
    "with a number": lambda y, f: {"logits": y, "temperature": 2.0, "name": "net"},
    "counts beside": lambda y, f: (y, y.argmax(1, keepdim=True)),
    "maps of one cell": lambda y, f: y[:, :, None, None],
    "one axis too many": lambda y, f: y[..., None],
    "squeezed": lambda y, f: y.squeeze(),
    "squeezed first": lambda y, f: y.squeeze(0),
    "squeezed in a dict": lambda y, f: {"logits": y.squeeze()},
}


@pytest.mark.parametrize("how", FOUND)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_what_is_found_is_what_a_plain_network_gives(how, count):
    plain, model = wrapped(lambda y, f: y, count), wrapped(FOUND[how], count)
    one, other = ex.look(plain, PICTURE), ex.look(model, PICTURE)
    assert torch.equal(one.logits, other.logits)
    pixels = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one.logits_at(pixels), other.logits_at(pixels))
    for method in ("grad_cam", "deeplift", "occlusion", "gradient"):
        assert np.array_equal(ex.explain(one, method).native, ex.explain(other, method).native), method
    paths = [[str(site.point) for site in each.anatomy.sites.values()] for each in (plain, model)]
    assert paths[0] == paths[1]
    assert all("inside" not in path for path in paths[1])


@pytest.mark.parametrize("how", ["dict", "squeezed", "tuple"])
def test_nothing_is_written_on_the_module(how):
    net = Net(FOUND[how]).eval()
    before = {name: (id(m), len(m.__dict__), len(m._forward_hooks)) for name, m in net.named_modules()}
    ex.explain(ex.look(ex.wrap(net, framing=FRAMING), PICTURE), "grad_cam")
    assert before == {name: (id(m), len(m.__dict__), len(m._forward_hooks)) for name, m in net.named_modules()}


TWO = {
    "two rows": (lambda y, f: (y, f.mean((2, 3))), {"output": 0}),
    "two rows by key": (lambda y, f: {"a": f.mean((2, 3)), "b": y}, {"output": "b"}),
    "two heads": (lambda y, f: {"main": y, "aux": y + 1}, {"output": "main"}),
    "two heads by function": (lambda y, f: {"main": y, "aux": y + 1}, {"output": lambda out: out["main"]}),
    "nested": (lambda y, f: ([y, y * 2], f), {"output": "0.0"}),
    "last": (lambda y, f: [y * 2, y], {"output": -1}),
    "attribute": (lambda y, f: Told(y, f.mean((2, 3))), {"output": "scores"}),
    "part of a tensor": (lambda y, f: torch.cat([f.mean((2, 3)), y], 1), {"output": lambda out: out[:, 8:]}),
    "by the number of labels": (lambda y, f: (f.mean((2, 3)), y), {"labels": list("abcd")}),
}


@pytest.mark.parametrize("how", TWO)
def test_where_several_could_be_meant_one_is_named(how):
    pack, more = TWO[how]
    if "labels" not in more and how != "part of a tensor":
        with pytest.raises(ModelError, match=r"Say which is meant: ex\.wrap\(…, output="):
            wrapped(pack)
    plain, model = ex.look(wrapped(lambda y, f: y), PICTURE), ex.look(wrapped(pack, **more), PICTURE)
    assert torch.equal(plain.logits, model.logits)
    assert np.array_equal(ex.explain(plain, "grad_cam").native, ex.explain(model, "grad_cam").native)


@pytest.mark.parametrize(
    ("pack", "words"),
    [
        (lambda y, f: f, r"\(1, 8, 16, 16\).*one number for each class.*head=\"none\""),
        (lambda y, f: {"out": f, "aux": f}, r"out: \(1, 8, 16, 16\); aux: "),
        (lambda y, f: None, "NoneType"),
        (lambda y, f: y.argmax(1, keepdim=True), r"returned \(1, 1\)"),
        (lambda y, f: [], "list"),
        (lambda y, f: y[0], r"\(4,\) for 3 pictures|\(4,\) for 2 pictures"),  # the first picture of a batch alone
        (lambda y, f: [y.sum(0, keepdim=True)], r"\(1, 4\) for 2 pictures"),
        (lambda y, f: [y.T.contiguous() if len(y) > 1 else y], r"\(4, 2\) for 2 pictures"),
    ],
)
def test_what_cannot_be_read_is_said(pack, words):
    with pytest.raises(ModelError, match=words):
        wrapped(pack)


def test_an_output_that_is_not_there_is_said():
    with pytest.raises(ModelError, match="no output “scores”; it returned logits"):
        wrapped(lambda y, f: {"logits": y, "maps": f}, output="scores")
    with pytest.raises(ModelError, match="has to give the tensor"):
        wrapped(lambda y, f: {"logits": y}, output=lambda out: out)


def test_a_squeezed_pair_is_told_from_a_squeezed_batch():
    """With two classes and two pictures the axes could be mistaken; three pictures are tried."""
    with pytest.raises(ModelError, match=r"\(2, 3\) for 3 pictures"):
        wrapped(lambda y, f: [y.T if len(y) > 1 else y], 2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_number_types(dtype):
    model = ex.wrap(Net(FOUND["squeezed in a dict"], 1).to(dtype).eval(), framing=FRAMING)
    assert not ex.explain(ex.look(model, PICTURE), "grad_cam", signed=True).blank


# --- transformers ----------------------------------------------------------------------------------------------------

SMALL = {"image_size": 32, "num_labels": 3}
TRANSFORMERS = {
    "ViT": lambda: transformers.ViTForImageClassification(
        transformers.ViTConfig(patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                               intermediate_size=32, **SMALL)),
    "DeiT, two heads": lambda: transformers.DeiTForImageClassificationWithTeacher(
        transformers.DeiTConfig(patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                                intermediate_size=32, **SMALL)),
    "Swin": lambda: transformers.SwinForImageClassification(
        transformers.SwinConfig(patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4, **SMALL)),
    "ConvNext": lambda: transformers.ConvNextForImageClassification(
        transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, **SMALL)),
    "ResNet": lambda: transformers.ResNetForImageClassification(
        transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], **SMALL)),
    "hidden states too": lambda: transformers.ViTForImageClassification(
        transformers.ViTConfig(patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                               intermediate_size=32, output_hidden_states=True, **SMALL)),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_plain_module_of_transformers_works(name):
    torch.manual_seed(0)
    module = TRANSFORMERS[name]().eval()
    model = ex.wrap(module, framing=FRAMING)
    trace = ex.look(model, PICTURE)
    pixels = FRAMING.normalize(trace.pixels)[None]
    with torch.no_grad():
        wanted = module(pixel_values=pixels, return_dict=True).logits[0]
    assert torch.allclose(trace.logits, wanted, atol=1e-6)
    leaf = pixels.clone().requires_grad_()
    z = module(pixel_values=leaf, return_dict=True).logits[0]
    (slopes,) = torch.autograd.grad(z[1] - z[2], leaf)
    found = trace.ask(Target(1, 2, "logit")).pixel_slopes() * torch.tensor(FRAMING.std)[:, None, None]
    # each slope is a sum of a few thousand products, in two orders: 1e-4 of the largest
    assert torch.allclose(found, slopes[0], atol=1e-4 * float(slopes.abs().max()))
    assert not ex.explain(trace, "grad_cam", signed=True).blank
    assert all(path in dict(module.named_modules()) for path in (s.point.path for s in model.anatomy.sites.values()))


PROBLEMS = [*product(["regression", "multi_label_classification", None], [1, 3]), ("single_label_classification", 3)]


@pytest.mark.parametrize("name", ["ViT", "ResNet", "ConvNext"])
@pytest.mark.parametrize(("problem", "labels"), PROBLEMS)
def test_the_configuration_says_what_the_head_means(name, problem, labels, tmp_path):
    torch.manual_seed(0)
    module = TRANSFORMERS[name]()
    config = module.config
    config.num_labels, config.problem_type = labels, problem
    module = type(module)(config).eval()
    wanted = {
        "regression": "regression",
        "multi_label_classification": "sigmoid",
        "single_label_classification": "softmax",
        None: "softmax" if labels > 1 else "regression",
    }[problem]
    model = ex.wrap(module, framing=FRAMING)
    assert model.head.kind == wanted
    assert bool(model.notes) == (problem is None and labels == 1)
    module.save_pretrained(tmp_path)
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path)
    loaded = ex.load(str(tmp_path), device="cpu")
    assert (loaded.head.kind, loaded.labels[0]) == (wanted, model.labels[0])
    top = ex.look(loaded, PICTURE).top(1)[0]
    outputs = ex.look(loaded, PICTURE).logits
    match wanted:
        case "regression":
            assert (top.probability, top.logit) == (None, pytest.approx(float(outputs[0])))
        case "sigmoid":
            assert top.probability == pytest.approx(float(outputs.sigmoid().max()), abs=1e-6)
        case _:
            assert top.probability == pytest.approx(float(outputs.softmax(0).max()), abs=1e-6)
