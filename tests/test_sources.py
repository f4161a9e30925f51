"""Where networks come from: identifiers, loaders, and the sentence for each thing that can go wrong."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from networks import shared
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf
from transformers import (
    BertConfig,
    BertModel,
    Dinov2Config,
    Dinov2Model,
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    ViTModel,
)

from explainers.errors import ModelError
from explainers.network.sources import fetch, hub, parse, suggested
from explainers.pictures import Picture
from explainers.worlds.pond import brains
from tests.stub_hub import StubHub, serving

DATA = Path(__file__).parents[1].parent / "shared" / "data"
SQUEEZENET = DATA / "models" / "squeezenet1_0.imagenet.safetensors"
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
PIXELS = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One folder for each kind of repository."""
    root = tmp_path_factory.mktemp("folders")
    labels = {"id2label": {0: "newt", 1: "perch", 2: "crane", 3: "crane"}}
    torch.manual_seed(0)
    vit = ViTForImageClassification(ViTConfig(**TINY, image_size=32, patch_size=8, **labels))
    processor = ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.25] * 3)
    for name in ("vit", "gated", "huge", "other_size"):
        vit.save_pretrained(root / name)
        processor.save_pretrained(root / name)
    config = json.loads((root / "vit" / "config.json").read_text())
    (root / "other_size" / "config.json").write_text(json.dumps(config | {"hidden_size": 24}))
    ViTModel(ViTConfig(**TINY, image_size=32, patch_size=8)).save_pretrained(root / "backbone")
    BertModel(BertConfig(**TINY, vocab_size=20)).save_pretrained(root / "text")
    for name in ("test_resnet.r160_in1k", "test_vit.r160_in1k"):
        save_for_hf(timm.create_model(name), root / name, safe_serialization=True)
    names = {"label_names": ["a", "b"], "label_descriptions": {"a": "newt", "b": "perch"}}
    save_for_hf(
        timm.create_model("test_vit", num_classes=2), root / "newts", model_config=names, safe_serialization=True
    )
    pickled = root / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text(json.dumps(config))
    torch.save({}, pickled / "pytorch_model.bin")
    return root


@pytest.fixture
def stub(folders, tmp_path, monkeypatch):
    """The stub hub in the place of the real one, with an empty cache."""
    repositories = {f"tiny/{name}": folders / name for name in ("vit", "gated", "huge", "backbone", "text", "pickled")}
    repositories |= {f"timm/{name}": folders / name for name in ("test_resnet.r160_in1k", "test_vit.r160_in1k")}
    with serving(StubHub(repositories, {"tiny/huge": 7 * 10**11}, {"tiny/gated"})) as served:
        point_at(monkeypatch, served.url, tmp_path / "cache")
        yield served


def point_at(monkeypatch, url, cache):
    """huggingface_hub reads its environment once, at import; these are what it made of it."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def refusal(identifier, **options):
    """The sentence of the ModelError, which never has a path."""
    with pytest.raises(ModelError) as caught:
        fetch(str(identifier), **options)
    sentence = str(caught.value)
    assert tempfile.gettempdir() not in sentence
    assert str(Path.home()) not in sentence
    return sentence


# --- identifiers


def test_an_identifier_has_a_kind_a_name_and_options():
    asked = parse("timm:vit_tiny_patch16_224.augreg_in21k?pretrained=false&img_size=96")
    assert (asked.kind, asked.name) == ("timm", "vit_tiny_patch16_224.augreg_in21k")
    assert dict(asked.options) == {"pretrained": "false", "img_size": "96"}
    assert (parse("hf:a/b@v1.0").name, parse("hf:a/b@v1.0").revision) == ("a/b", "v1.0")
    assert parse("hf:a/b@refs/pr/3").revision == "refs/pr/3"
    assert parse("models/mine").kind == "folder"


@pytest.mark.parametrize(
    "identifier",
    [
        "", " ", "x" * 2000, "timm:", "timm:../../etc/passwd", "timm:a/b", "timm:local-dir:x", "timm:resnet50\n",
        "hf:vit", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/b@", "hf:a/b@../c", "hf:-a/b", "hf:a--b/c", "hf:a/b\x00",
        "torchvision:resnet50.a", "pond:cnn?x=1", "http://example.org/model", "file:///etc/passwd", "timm:é",
        "timm:resnet50?weights=", "timm:resnet50?pretrained=no", "timm:resnet50?pretrained=false&weights=x.pth",
        "timm:resnet50?pretrained=false&img_size=100000", "timm:resnet50?pretrained=false&num_classes=-1",
        "timm:resnet50?pretrained=false&img_size=٣٢", "timm:resnet50?num_classes=10", "timm:resnet50?img_size=64",
        "timm:resnet50?pretrained=false&pretrained=false", "timm:resnet50?in_chans=1", "hf:a/b?trust_remote_code=true",
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_any_loader(identifier):
    with pytest.raises(ModelError, match=r"[.;]"):
        parse(identifier)


def test_a_visitor_names_no_file_and_no_folder_of_this_machine(folders):
    for identifier in (folders / "vit", "vit", "~/models", f"timm:resnet18?weights={SQUEEZENET}"):
        assert "here" in refusal(identifier, local=False)


# --- loaders


def test_random_weights_by_wish_are_the_same_each_time_and_disturb_no_random_numbers():
    torch.manual_seed(3)
    first = fetch("timm:test_resnet?pretrained=false&num_classes=5", local=False)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    second = fetch("timm:test_resnet?pretrained=false&num_classes=5")
    assert torch.equal(first.module(PIXELS), second.module(PIXELS))
    assert first.random_weights
    assert first.labels == ("class 0", "class 1", "class 2", "class 3", "class 4")
    assert not first.module.training


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "vit_tiny_patch16_224"])
def test_another_size_concerns_the_framing_and_the_network_where_it_has_one(name):
    source = fetch(f"timm:{name}?pretrained=false&img_size=64&num_classes=3")
    assert source.framing.size == (64, 64)
    assert source.module(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_a_network_without_a_head_has_no_labels():
    source = fetch("timm:test_resnet?pretrained=false&num_classes=0")
    assert source.labels is None
    assert source.module(PIXELS).shape[0] == 2


def test_torchvision_takes_a_file_with_the_published_labels_and_framing():
    shared()
    source = fetch(f"torchvision:squeezenet1_0?weights={SQUEEZENET}")
    assert (source.labels[281], len(source.labels)) == ("tabby", 1000)
    assert (source.framing.size, source.framing.resize) == ((224, 224), 256)
    assert not source.random_weights
    photos = sorted((DATA / "photos").glob("*.JPEG"))
    pixels = torch.stack([source.framing.normalize(source.framing.frame(Picture.read(photo))) for photo in photos])
    answers = [source.labels[index] for index in source.module(pixels).argmax(1).tolist()]
    names = [photo.stem.split("_", 1)[1].replace("_", " ") for photo in photos]
    assert len(names) == 39
    right = sum(answer == name for answer, name in zip(answers, names, strict=True))
    assert right >= 28


@pytest.mark.parametrize("name", brains.NAMES)
def test_the_pond_is_always_there(name):
    source = fetch(f"pond:{name}", local=False)
    assert source.labels == brains.LABELS_A
    assert source.framing.size == (brains.SIZE, brains.SIZE)
    assert not source.random_weights


def test_weights_of_another_network_are_counted():
    shared()
    shapes = {key: tensor.shape for key, tensor in load_file(SQUEEZENET).items()}
    own = {
        key: tensor.shape
        for key, tensor in fetch("torchvision:squeezenet1_1?pretrained=false").module.state_dict().items()
    }
    wrong = sum(shapes.get(key) != own.get(key) for key in shapes.keys() | own.keys())
    assert f": {wrong} of its keys" in refusal(f"torchvision:squeezenet1_1?weights={SQUEEZENET}")


def test_a_file_that_runs_code_when_opened_is_not_opened(tmp_path):
    class Code:
        def __reduce__(self):
            return Path.touch, (tmp_path / "it_ran",)

    torch.save({"fc.weight": Code()}, tmp_path / "evil.pth")
    for place in ("timm:resnet18", "torchvision:resnet18"):
        assert "evil.pth" in refusal(f"{place}?weights={tmp_path / 'evil.pth'}")
    assert not (tmp_path / "it_ran").exists()


def test_own_weights_with_an_own_number_of_classes(tmp_path):
    module = timm.create_model("test_resnet", num_classes=5).eval()
    save_file(module.state_dict(), tmp_path / "five.safetensors")
    source = fetch(f"timm:test_resnet?weights={tmp_path / 'five.safetensors'}&num_classes=5")
    assert torch.equal(source.module(PIXELS), module(PIXELS))
    assert source.labels[4] == "class 4"
    assert "2 of its keys" in refusal(f"timm:test_resnet?weights={tmp_path / 'five.safetensors'}")


def test_folders_in_both_layouts(folders):
    newts = fetch(str(folders / "newts"))
    assert newts.labels == ("newt", "perch")
    own = load_file(folders / "newts" / "model.safetensors")
    assert all(torch.equal(tensor, own[key]) for key, tensor in newts.module.state_dict().items())
    vit = fetch(str(folders / "vit"))
    assert vit.name == str(folders / "vit")
    assert vit.labels == ("newt", "perch", "crane (2)", "crane (3)")
    assert (vit.framing.size, vit.framing.mode, vit.framing.std) == ((32, 32), "squash", (0.25, 0.25, 0.25))
    assert "keys are missing" in refusal(folders / "other_size")
    assert "safetensors" in refusal(folders / "pickled")


@pytest.mark.parametrize("make", [
    lambda: ViTModel(ViTConfig(**TINY, image_size=32, patch_size=8)),
    lambda: Dinov2Model(Dinov2Config(**TINY, image_size=32, patch_size=8)),
    lambda: ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
])  # fmt: skip
def test_a_backbone_answers_its_pooled_embedding(make, tmp_path):
    backbone = make().eval()
    backbone.save_pretrained(tmp_path)
    source = fetch(str(tmp_path))
    assert source.labels is None
    with torch.no_grad():
        assert torch.equal(source.module(PIXELS), backbone(PIXELS).pooler_output.flatten(1))


def test_a_pooler_without_weights_is_left_out(tmp_path):
    backbone = ViTModel(ViTConfig(**TINY, image_size=32, patch_size=8), add_pooling_layer=False).eval()
    backbone.save_pretrained(tmp_path)
    source = fetch(str(tmp_path))
    assert any("pooler" in note for note in source.notes)
    with torch.no_grad():
        assert torch.equal(source.module(PIXELS), backbone(PIXELS).last_hidden_state[:, 0])


def test_a_configuration_that_wants_foreign_code_is_refused(folders, tmp_path):
    config = json.loads((folders / "vit" / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((folders / "vit" / "model.safetensors").read_bytes())
    for bad in (
        {"model_type": "stranger", "auto_map": {"AutoConfig": "code.Config"}},
        {"attn_implementation": "some/kernel"},
    ):
        (tmp_path / "config.json").write_text(json.dumps(config | bad))
        assert "foreign code is never run" in refusal(tmp_path)


# --- the hub


def test_a_transformers_network_of_the_hub(stub, folders):
    source = fetch("hf:tiny/vit", local=False)
    original = ViTForImageClassification.from_pretrained(folders / "vit").eval()
    with torch.no_grad():
        assert torch.equal(source.module(PIXELS), original(PIXELS).logits)
    assert source.labels[:2] == ("newt", "perch")
    assert source.module(PIXELS).dtype == torch.float32
    assert not any("pickle" in path or ".bin" in path for path in stub.asked)


@pytest.mark.parametrize("name", ["test_resnet.r160_in1k", "test_vit.r160_in1k"])
def test_a_timm_network_of_the_hub_by_registered_name_and_by_repository(stub, folders, name):
    registered, repository = fetch(f"timm:{name}"), fetch(f"hf:timm/{name}")
    own = load_file(folders / name / "model.safetensors")
    for source in (registered, repository):
        assert all(torch.equal(tensor, own[key]) for key, tensor in source.module.state_dict().items())
        assert source.labels[281] == "tabby, tabby cat"
        assert source.framing.size == (160, 160)
    assert registered.notes == ()
    assert "assumed" in repository.notes[0]


def test_what_is_absent_gated_or_huge_is_said_before_anything_is_fetched(stub):
    assert "no network “tiny/nothing” on the hub" in refusal("hf:tiny/nothing")
    assert "no revision “v9”" in refusal("hf:tiny/vit@v9")
    assert "accept its terms" in refusal("hf:tiny/gated")
    stub.asked.clear()
    assert "700 GB and the limit is 1.0 GB" in refusal("hf:tiny/huge", max_bytes=10**9)
    assert "no weights as safetensors" in refusal("hf:tiny/pickled")
    assert not any("resolve" in path for path in stub.asked)
    assert "not an image classifier" in refusal("hf:tiny/text")
    assert fetch("hf:tiny/vit@refs/pr/3").labels
    stub.broken = True
    assert "error 503" in refusal("hf:tiny/backbone")


def test_a_network_too_large_to_build_is_refused_from_its_shapes_alone():
    started = time.monotonic()
    sentence = refusal("timm:vit_giant_patch14_dinov2?pretrained=false", max_bytes=10**9)
    assert "4.5 GB and the limit is 1.0 GB" in sentence  # 1.14 billion parameters of 4 bytes
    assert time.monotonic() - started < 30


def test_a_visitor_does_not_use_the_token_of_the_owner(stub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch("hf:tiny/vit", local=False)
    assert stub.tokens == []
    fetch("hf:tiny/backbone")
    assert set(stub.tokens) == {"Bearer hf_secret"}


def test_unknown_names_come_with_the_nearest_known_ones():
    assert "resnet50" in refusal("timm:resnet5O")
    assert "resnet50.a1_in1k" in refusal("timm:resnet50.a1")
    assert "squeezenet1_0" in refusal("torchvision:squeezenet")
    assert "cnn, vit, cheater" in refusal("pond:frog")
    assert "timm:resnet50" in refusal("resnet50")


# --- no network


def test_offline_uses_what_was_fetched_and_says_so_otherwise(stub, monkeypatch):
    online = fetch("hf:tiny/vit")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(fetch("hf:tiny/vit").module(PIXELS), online.module(PIXELS))
    assert "HF_HUB_OFFLINE" in refusal("hf:tiny/backbone")
    assert "HF_HUB_OFFLINE" in refusal("timm:test_vit.r160_in1k")


def test_a_dead_network_is_said_in_time(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "PATIENCE", 0.5)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the call and never answers
        port = silent.getsockname()[1]
        point_at(monkeypatch, f"http://127.0.0.1:{port}", tmp_path / "cache")
        started = time.monotonic()
        assert "cannot be reached" in refusal("hf:tiny/vit")
        assert "cannot be reached" in refusal("timm:test_vit.r160_in1k")
        assert time.monotonic() - started < 15
    started = time.monotonic()
    assert "cannot be reached" in refusal("hf:tiny/vit")  # now the port is closed
    assert time.monotonic() - started < 10
    for variable in ("HTTPS_PROXY", "https_proxy"):  # so that this test never reaches a real server
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
    assert "cannot be reached" in refusal("torchvision:resnet18")


def test_a_name_that_is_looked_up_for_minutes_holds_nobody(monkeypatch, tmp_path):
    released = threading.Event()

    def looking_up(*arguments, **options):
        released.wait(60)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", looking_up)
    monkeypatch.setattr(hub, "DEADLINE", 0.5)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    point_at(monkeypatch, "http://hub.invalid", tmp_path / "cache")
    started = time.monotonic()
    assert "cannot be reached" in refusal("hf:tiny/vit")
    assert "cannot be reached" in refusal("torchvision:squeezenet1_0")
    assert time.monotonic() - started < 30
    released.set()


def test_the_environment_points_to_another_hub(stub, tmp_path):
    code = "from explainers.network.sources import fetch; print(fetch('hf:tiny/vit').labels[0])"
    environment = {**os.environ, "HF_ENDPOINT": stub.url, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["newt"]


# --- the list


def test_what_is_suggested_exists():
    known = set(timm.list_pretrained())
    for suggestion in suggested():
        asked = parse(suggestion.identifier)
        if asked.kind == "timm":
            assert asked.name in known
            with torch.device("meta"):
                module = timm.create_model(asked.name)
            assert suggestion.license == timm.get_pretrained_cfg(asked.name).license
        elif asked.kind == "pond":
            module = brains.build(asked.name)
        else:
            continue
        assert suggestion.millions == pytest.approx(sum(p.numel() for p in module.parameters()) / 1e6, abs=0.005)
