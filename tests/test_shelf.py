"""What the server keeps: no path of its own in an answer, no network that nobody can ask for, no memory without end."""

import gc
import json
import weakref

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import explainers as ex
from explainers.errors import QuestionError
from explainers.pictures import Picture
from explainers.trace import KEPT_SLOPES
from explainers.ui.answering import answers
from explainers.ui.answering.work import streamed
from explainers.ui.catalogue import Catalogue
from explainers.ui.pictures import Shown
from explainers.ui.shelf import Lru, Shelf

TINY = "timm:resnet10t?pretrained=false&num_classes=3"


@pytest.fixture
def weights(tmp_path):
    import timm

    torch.manual_seed(0)
    path = tmp_path / "secret-folder" / "own.safetensors"
    path.parent.mkdir()
    save_file(timm.create_model("resnet10t", num_classes=3).state_dict(), path)
    return path


def shown(seed: int = 0) -> Shown:
    return Shown(Picture.read(np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8)))


def test_a_path_given_at_start_never_leaves_the_server(weights):
    shelf = Shelf(Catalogue([f"timm:resnet10t?num_classes=3&weights={weights}"]))
    (own,) = [n for n in shelf.catalogue.networks if "resnet10t" in n.identifier]
    network = shelf.network(own.identifier)
    assert network.name == own.identifier
    answer = ex.explain(shelf.trace(own.identifier, shown()), "gradient")
    assert "secret-folder" not in json.dumps(answer.payload()) + answer.code()
    with pytest.raises(QuestionError) as refusal:
        network.index("nonsense")
    assert "secret-folder" not in str(refusal.value)
    told = list(streamed({"model": own.identifier, "scene": "test:6", "strip": False}, shelf, answers.answered))
    assert told[-1]["panes"]
    assert "secret-folder" not in json.dumps(told)


def test_networks_given_at_start_come_before_the_list_and_all_of_them(weights):
    other = weights.with_name("other.safetensors")
    names = [
        f"timm:resnet50.a1_in1k?weights={weights}",
        f"timm:vit_tiny?weights={weights}",
        f"timm:vit_tiny?weights={other}",
    ]
    listed = {n.identifier: n.source for n in Catalogue(names).networks}
    assert listed["timm:resnet50.a1_in1k"] == names[0]
    assert listed["timm:vit_tiny"] == names[1]
    assert listed["timm:vit_tiny (2)"] == names[2]


def test_a_network_that_had_to_go_is_gone_with_its_traces():
    shelf = Shelf(Catalogue(), networks=Lru(1, lambda network: network.bytes, fewest=2))
    alive = []
    for size in (32, 64, 96):
        name = f"{TINY}&img_size={size}"
        alive.append(weakref.ref(shelf.network(name)))
        shelf.trace(name, shown()).top(1)
    gc.collect()
    assert [ref() is not None for ref in alive] == [False, True, True]


def test_a_load_that_fails_leaves_nothing_behind():
    shelf = Shelf(Catalogue())
    with pytest.raises(ex.engine.SightglassError):
        shelf.network("timm:no_such_network")
    assert not shelf._loading


def test_the_same_pixels_with_and_without_a_known_truth_are_two_answers():
    shelf = Shelf(Catalogue())
    scene = shelf.catalogue.picture("test:7")
    upload = Shown(Picture.read(scene.picture.array.copy()))
    assert upload.picture.digest == scene.picture.digest
    assert upload.key != scene.key


@pytest.mark.parametrize("scene", ["test:6", "test:42+tag", "duet:8"])
def test_the_code_beside_a_pond_picture_makes_the_picture_and_the_answer(scene, tmp_path, monkeypatch):
    shelf = Shelf(Catalogue([TINY]))
    own = next(n.identifier for n in shelf.catalogue.networks if "resnet10t" in n.identifier)
    told = list(streamed({"model": own, "scene": scene, "strip": False}, shelf, answers.answered))
    if told[-1]["state"] == "network":
        shelf.network(own)
        told = list(streamed({"model": own, "scene": scene, "strip": False}, shelf, answers.answered))
    monkeypatch.chdir(tmp_path)
    code = told[-1]["panes"][0]["code"].replace(repr(own), repr(TINY))
    exec(compile(code, "code", "exec"), {})
    assert np.array_equal(Picture.read("pond.png").array, shelf.catalogue.picture(scene).picture.array)
    assert (tmp_path / "why.png").stat().st_size > 1000


def test_a_released_trace_keeps_what_is_small():
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3, 2, 1), torch.nn.ReLU()]
    head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 20)]
    module = torch.nn.Sequential(*layers, *head).eval()
    model = ex.wrap(module, framing=ex.pictures.Framing(size=(48, 48), mode="squash"))
    trace = ex.look(model, shown().picture)
    for target in range(20):
        for depth in ("last", "late", "middle", "early"):
            ex.explain(trace, "grad_cam", target=target, depth=depth)
        ex.explain(trace, "gradient", target=target)
    before = ex.explain(trace, "grad_cam", target=3, depth="early").native
    trace.release()
    assert len(trace.memory.slopes) == KEPT_SLOPES
    assert [p.start for p in trace.memory.passes] == [model.anatomy.sites["last"].points]
    assert np.array_equal(ex.explain(trace, "grad_cam", target=3, depth="early").native, before)


def test_attention_of_torch_gives_the_same_bits_whatever_was_asked_before():
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    module = VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5).eval()
    torch.nn.init.normal_(module.heads.head.weight)
    model = ex.wrap(module, framing=ex.pictures.Framing(size=(32, 32), mode="squash"))
    alone = ex.explain(ex.look(model, shown().picture), "grad_cam", target=1).native
    trace = ex.look(model, shown().picture)
    ex.explain(trace, "gradient", target=2)
    assert np.array_equal(ex.explain(trace, "grad_cam", target=1).native, alone)
