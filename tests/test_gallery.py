"""Galleries: built from folders, zips and arrays, kept on disk, resumed, and what is said when something is wrong."""

import io
import json
import signal
import subprocess
import sys
import time
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import DATA, PHOTOS, resnet20, squeezenet
from PIL import Image
from tolerance import close, operations, rounding
from torch import nn

import explainers as ex
from explainers.errors import QuestionError, Stopped
from explainers.galleries import building, stock
from explainers.galleries.embedding import embed
from explainers.galleries.gallery import Gallery
from explainers.galleries.kept import mapped, write
from explainers.galleries.stock import from_arrays, from_folder, from_zip
from explainers.pictures import Framing, Picture

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 3),
    )  # fmt: skip
    return ex.wrap(network.eval(), labels=["a", "b", "c"], framing=Framing(size=(32, 32), mode="squash"), name="tiny")


def pictures(count=12, side=40):
    return list(np.random.default_rng(0).integers(256, size=(count, side, side, 3), dtype=np.uint8))


def folder(at, count=12):
    for i, pixels in enumerate(pictures(count)):
        (at / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(at / "ab"[i % 2] / f"{i:03d}.png")
    return at


# What is in it -------------------------------------------------------------------------------------------------------


def test_a_folder_becomes_a_gallery_with_subfolders_as_labels(model, tmp_path):
    told = []
    gallery = Gallery.build(
        folder(tmp_path / "in"), model, tmp_path / "out", progress=lambda done, of: told.append((done, of))
    )
    assert len(gallery) == 12
    assert gallery.names[0] == "a/000.png"
    assert gallery.labels == ("a",) * 6 + ("b",) * 6
    assert told[-1] == (12, 12)
    assert gallery.digests[0] == Picture.read(tmp_path / "in/a/000.png").digest
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "gallery.json", "pictures.safetensors", "plan.json", "vectors",
    }  # fmt: skip


def test_vectors_are_what_the_network_has_at_each_place(model, tmp_path):
    gallery = Gallery.build(folder(tmp_path / "in"), model, tmp_path / "out")
    kept = gallery.vectors(model)
    picture = Picture.read(tmp_path / "in" / gallery.names[3])
    framed = model.framing.normalize(model.framing.frame(picture))[None]
    with torch.no_grad():
        maps = model.module[:4](framed)  # the last maps
        logits = model.module(framed)
    assert kept.read_at == ("pooled", "late", "middle", "early", "pixels")
    assert np.allclose(
        kept.at("pooled")[3] * kept.scales["pooled"], maps.mean((2, 3))[0], rtol=rounding(1, 1, torch.float16)
    )
    assert kept.predicted[3] == logits.argmax()
    assert kept.confidence[3] == pytest.approx(float(logits.softmax(1).max()), rel=rounding(operations(model.module)))
    assert kept.labels == model.labels


def test_a_picture_in_the_gallery_is_known_by_its_pixels(model, tmp_path):
    gallery = Gallery.build(folder(tmp_path / "in"), model, tmp_path / "out")
    assert gallery.number(Picture.read(tmp_path / "in" / gallery.names[7])) == 7
    assert gallery.number(Picture.read(pictures(13)[12])) is None
    assert np.array_equal(gallery.picture(7).array, Picture.read(tmp_path / "in" / gallery.names[7]).array)  # 40 px
    with pytest.raises(QuestionError, match="pictures 0 to 11; 12 is none"):
        gallery.picture(12)


def test_large_pictures_are_kept_small(model):
    gallery = Gallery.of(from_arrays("large", pictures(2, 500), ["", ""]), model)
    assert gallery.picture(0).size == (building.KEPT_SIDE, building.KEPT_SIDE)
    assert gallery.thumbnail(0).shape == (64, 64, 3)
    with Image.open(io.BytesIO(gallery.sheet([0, 1], 32))) as sheet:
        assert sheet.size == (16 * 32, 32)


def test_vectors_stay_on_disk_in_half_precision(model, tmp_path):
    gallery = Gallery.build(folder(tmp_path / "in"), model, tmp_path / "out")
    stored = gallery.vectors(model).at("pooled")
    assert stored.dtype == np.float16
    assert isinstance(stored, np.memmap)
    with pytest.raises(QuestionError, match="at pooled, late, middle, early, pixels, not at “deep”"):
        gallery.vectors(model).at("deep")


def test_vectors_beyond_half_precision_are_scaled_by_a_power_of_two():
    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.head((self.conv(x) * 1e6).mean((2, 3)) / 1)

    torch.manual_seed(0)
    model = ex.wrap(Large().eval(), framing=Framing(size=(32, 32), mode="squash"), name="large")
    kept = Gallery.of(from_arrays("few", pictures(4), [""] * 4), model).vectors(model)
    exact = embed(model, torch.stack([model.framing.frame(Picture.read(p)) for p in pictures(4)])).vectors["pooled"]
    assert exact.abs().max() > 1e5
    assert np.log2(kept.scales["pooled"]) % 1 == 0
    assert np.allclose(
        kept.at("pooled").astype(np.float64) * kept.scales["pooled"], exact, rtol=rounding(1, 1, torch.float16)
    )


def test_a_second_network_adds_its_vectors(model, tmp_path):
    other = ex.wrap(model.module, labels=model.labels, framing=Framing(size=(48, 48), mode="squash"), name="other")
    Gallery.build(folder(tmp_path / "in"), model, tmp_path / "out")
    gallery = Gallery.build(tmp_path / "in", other, tmp_path / "out")
    assert gallery.models == ("other", "tiny")
    assert not np.array_equal(gallery.vectors(model).at("pooled"), gallery.vectors(other).at("pooled"))


def test_a_network_of_the_same_name_with_other_weights_is_told_apart(model, tmp_path):
    gallery = Gallery.build(folder(tmp_path / "in"), model, tmp_path / "out")
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)).eval()
    with pytest.raises(QuestionError, match="other weights of tiny"):
        gallery.vectors(ex.wrap(network, framing=model.framing, name="tiny"))
    with pytest.raises(QuestionError, match="vectors of tiny, not of pond:cnn; add them with"):
        gallery.vectors("pond:cnn")


def test_tokens_are_averaged_without_those_before_the_patches():
    vit = ex.load("pond:vit")
    pixels = torch.stack([vit.framing.frame(Picture.read(p)) for p in pictures(3)])
    both = embed(vit, pixels)
    for number in range(3):
        trace = ex.look(vit, pictures(3)[number])
        assert torch.allclose(
            both.vectors["middle"][number],
            trace.maps("middle").mean((1, 2)),
            rtol=0,
            atol=rounding(operations(vit.module), trace.maps("middle")),
        )
    with torch.no_grad():
        fed = vit.module.forward_head(vit.module.forward_features(vit.framing.normalize(pixels)), pre_logits=True)
    assert close(
        both.vectors["pooled"], fed, rounding(operations(vit.module), fed)
    )  # the class token, which the head reads


def test_a_backbone_embeds_and_calls_nothing(model):
    network = ex.wrap(model.module[:6].eval(), labels=[], framing=model.framing, name="backbone")
    kept = Gallery.of(from_arrays("few", pictures(4), [""] * 4), network).vectors(network)
    assert kept.labels == ()
    assert set(kept.predicted.tolist()) == {-1}


# What is cut off goes on ---------------------------------------------------------------------------------------------


def test_stopping_and_going_on_gives_the_same_gallery(model, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "SHARD", 4)
    whole = Gallery.build(folder(tmp_path / "in"), model, tmp_path / "whole", batch=2)
    looks = iter(range(10_000))
    with pytest.raises(Stopped):
        Gallery.build(tmp_path / "in", model, tmp_path / "cut", batch=2, stop=lambda: next(looks) > 40)
    done = sorted((tmp_path / "cut" / "work").rglob("*.safetensors"))
    assert 0 < len(done) < 3
    before = [path.stat().st_mtime_ns for path in done]
    with pytest.raises(QuestionError, match="It was begun; build it again"):
        Gallery.open(tmp_path / "cut")
    monkeypatch.setattr(building, "shutil", type("Keep", (), {"rmtree": lambda *_, **__: None}))
    cut = Gallery.build(tmp_path / "in", model, tmp_path / "cut", batch=2)
    assert [path.stat().st_mtime_ns for path in done] == before  # nothing is done twice
    assert np.array_equal(cut.vectors(model).at("pooled"), whole.vectors(model).at("pooled"))
    assert (cut.names, cut.digests) == (whole.names, whole.digests)


KILLED = """
import sys, time
import torch
from torch import nn
import explainers as ex
from explainers.galleries import building
from explainers.galleries.gallery import Gallery
from explainers.pictures import Framing

building.SHARD = 4
torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)).eval()
model = ex.wrap(network, framing=Framing(size=(32, 32), mode="squash"), name="killed")
slow = lambda done, of: (print(done, flush=True), time.sleep(0.02))
print(len(Gallery.build(sys.argv[1], model, sys.argv[2], batch=2, progress=slow)), "pictures", flush=True)
"""


def test_a_build_that_was_killed_loses_nothing(tmp_path):
    folder(tmp_path / "in", 40)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "in"), str(tmp_path / "out")]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    while int(running.stdout.readline()) < 18:
        pass
    running.send_signal(signal.SIGKILL)
    running.communicate()
    kept = len(list((tmp_path / "out" / "work").rglob("*.safetensors")))
    assert kept >= 4
    assert not (tmp_path / "out" / "gallery.json").exists()
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    assert int(told[0]) == 4  # the shards that were whole are passed over,
    assert told[:kept] == [str(4 * (shard + 1)) for shard in range(kept)]
    assert told[-2:] == ["40", "pictures"]
    gallery = Gallery.open(tmp_path / "out")
    assert len(set(gallery.digests)) == 40


# What is wrong gets a sentence ---------------------------------------------------------------------------------------


def test_an_empty_folder_and_none_at_all(model, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(QuestionError, match="“empty” holds no JPEG, PNG or WebP"):
        Gallery.build(tmp_path / "empty", model, tmp_path / "out")
    with pytest.raises(QuestionError, match="There is no folder “nowhere”"):
        Gallery.build(tmp_path / "nowhere", model, tmp_path / "out")
    with pytest.raises(QuestionError, match="“empty” is no gallery"):
        Gallery.open(tmp_path / "empty")


def test_one_picture_is_a_gallery_but_has_no_neighbors(model):
    gallery = Gallery.of(from_arrays("alone", pictures(1), ["a"]), model)
    trace = ex.look(model, pictures(2)[1])
    with pytest.raises(QuestionError, match="has one picture; neighbors take two"):
        ex.explain(trace, "nearest", gallery=gallery)
    with pytest.raises(QuestionError, match="A map takes 4 pictures at least; the gallery alone has 1"):
        ex.explain(trace, "picture_map", gallery=gallery)
    with pytest.raises(QuestionError, match="Groups take 3 pictures"):
        ex.explain(model, "clusters", gallery=gallery)


def test_a_damaged_picture_in_the_middle_is_left_out_and_named(model, tmp_path):
    folder(tmp_path / "in")
    (tmp_path / "in/a/004.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (tmp_path / "in/b/notes.txt").write_text("not a picture, and not taken for one")
    gallery = Gallery.build(tmp_path / "in", model, tmp_path / "out", batch=4)
    assert len(gallery) == 11
    assert "a/004.png" not in gallery.names
    assert gallery.skipped[0].startswith("a/004.png: ")
    assert "1 left out, since they cannot be read: a/004.png" in " ".join(gallery.notes)


def test_nothing_but_damaged_pictures(model, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(b"nothing")
    with pytest.raises(QuestionError, match="None of the 1 pictures of in can be read; the first: a"):
        Gallery.build(tmp_path / "in", model, tmp_path / "out")


def test_pictures_that_are_there_twice_are_said_to_be(model):
    same = [*pictures(3), pictures(1)[0]]
    gallery = Gallery.of(from_arrays("twice", same, list("abca")), model)
    assert gallery.notes == ("One picture is there twice.",)
    answer = ex.explain(ex.look(model, same[0]), "nearest", gallery=gallery, count=1)
    assert answer.result.rows[0].distance == 0


def test_vectors_without_variance_make_no_map_and_no_groups():
    class Blind(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, x):
            return self.head((self.conv(x) * 0 + 1).mean((2, 3)))

    model = ex.wrap(Blind().eval(), framing=Framing(size=(32, 32), mode="squash"), name="blind")
    gallery = Gallery.of(from_arrays("few", pictures(8), ["a", "b"] * 4), model)
    answer = ex.explain(ex.look(model, pictures(9)[8]), "picture_map", gallery=gallery)
    assert "All vectors are equal, so the map shows nothing" in " ".join(answer.notes)
    assert answer.result.finite
    with pytest.raises(QuestionError, match="All vectors are equal, so there are no groups"):
        ex.explain(model, "clusters", gallery=gallery)


def test_another_folder_of_pictures_does_not_go_into_the_same_gallery(model, tmp_path):
    Gallery.build(folder(tmp_path / "in"), model, tmp_path / "out")
    Image.fromarray(pictures(13)[12]).save(tmp_path / "in/a/new.png")
    with pytest.raises(QuestionError, match="holds another gallery, or the pictures changed"):
        Gallery.build(tmp_path / "in", model, tmp_path / "out")
    with pytest.raises(QuestionError, match="“in” is there already and is no gallery"):
        Gallery.build(tmp_path / "in", model, tmp_path / "in")


def test_a_link_out_of_the_folder_is_left_out(model, tmp_path):
    folder(tmp_path / "in")
    Image.fromarray(pictures(1)[0]).save(tmp_path / "secret.png")
    (tmp_path / "in/a/link.png").symlink_to(tmp_path / "secret.png")
    gallery = Gallery.build(tmp_path / "in", model, tmp_path / "out")
    assert gallery.skipped == ("a/link.png: “link.png” is a link that leads out of the folder.",)


def test_a_damaged_gallery_is_told(model, tmp_path):
    Gallery.build(folder(tmp_path / "in"), model, tmp_path / "out")
    (path,) = (tmp_path / "out" / "vectors").iterdir()
    data = path.read_bytes()
    for damaged in (data[:40], data[:-10], b"\xff" * 100, b""):
        path.write_bytes(damaged)
        with pytest.raises(QuestionError, match="absent or damaged; build the gallery again"):
            Gallery.open(tmp_path / "out")
    path.write_bytes(data)
    about = json.loads((tmp_path / "out" / "gallery.json").read_text())
    (tmp_path / "out" / "gallery.json").write_text(json.dumps(about | {"schema": 99}))
    with pytest.raises(QuestionError, match="another version of Sightglass"):
        Gallery.open(tmp_path / "out")


# Zips ----------------------------------------------------------------------------------------------------------------


def png():
    data = io.BytesIO()
    Image.fromarray(pictures(1)[0]).save(data, "PNG")
    return data.getvalue()


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_zip_is_read_without_being_unpacked(model, tmp_path):
    path = zipped(tmp_path / "set.zip", {"cats/1.png": png(), "dogs/2.png": png(), "readme.txt": b"hello"})
    before = set(tmp_path.iterdir())
    gallery = Gallery.build(path, model, tmp_path / "out")
    assert (gallery.name, gallery.labels) == ("set", ("cats", "dogs"))
    assert set(tmp_path.iterdir()) == before | {tmp_path / "out"}


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png"])
def test_names_that_lead_out_of_a_zip_are_refused(tmp_path, name):
    with pytest.raises(QuestionError, match="leads out of it"):
        from_zip(zipped(tmp_path / "set.zip", {"ok.png": png(), name: png()}))


def test_a_zip_bomb_is_refused_before_it_is_read(tmp_path, monkeypatch):
    with pytest.raises(QuestionError, match=r"unpacks from [0-9,]+ to 30,000,000 bytes"):
        from_zip(zipped(tmp_path / "bomb.zip", {"zeros.png": b"\0" * 30_000_000}))
    monkeypatch.setattr(stock, "MOST_BYTES", 1000)
    with pytest.raises(QuestionError, match="a zip may unpack to"):
        from_zip(zipped(tmp_path / "many.zip", {f"{i}.png": png() for i in range(3)}))


def test_a_zip_that_lies_about_its_sizes_is_read_up_to_the_limit(model, tmp_path, monkeypatch):
    path = zipped(tmp_path / "lies.zip", {"1.png": png(), "2.png": b"\x89PNG" + b"\0" * 900_000})
    monkeypatch.setattr(stock, "BYTES_LIMIT", 1_000)
    gallery_or = from_zip(path)
    for entry in gallery_or.entries:
        with pytest.raises(ex.engine.SightglassError):
            entry.read()


def test_what_is_no_zip_and_a_zip_without_pictures(tmp_path):
    (tmp_path / "no.zip").write_bytes(b"PK but no")
    with pytest.raises(QuestionError, match="is not a zip that can be opened"):
        from_zip(tmp_path / "no.zip")
    with pytest.raises(QuestionError, match="holds no JPEG, PNG or WebP"):
        from_zip(zipped(tmp_path / "texts.zip", {"readme.txt": b"hello"}))


# Other places --------------------------------------------------------------------------------------------------------


def test_torchvision_sets_without_a_network_get_a_sentence(tmp_path, monkeypatch):
    import urllib.request

    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(QuestionError, match="MNIST is not on this machine and could not be fetched"):
        stock.stock("torchvision:mnist", data=tmp_path)
    with pytest.raises(QuestionError, match="there are mnist, fashion_mnist, cifar10 here, not “svhn”"):
        stock.stock("torchvision:svhn")


def test_a_torchvision_set_that_is_there_is_read(model, tmp_path):
    import pickle

    batch = tmp_path / "cifar-10-batches-py"
    batch.mkdir()
    # Two pictures in the layout of CIFAR-10's own files, which torchvision checks by their digest.
    from torchvision.datasets import CIFAR10

    rows = np.random.default_rng(0).integers(256, size=(2, 3072), dtype=np.uint8)
    (batch / "test_batch").write_bytes(pickle.dumps({"data": rows, "labels": [3, 5]}))
    (batch / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a", "b", "c", "cat", "d", "dog"]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CIFAR10, "_check_integrity", lambda self: True)
        patch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": None})
        found = stock.stock("torchvision:cifar10", data=tmp_path)
    assert [entry.label for entry in found.entries] == ["cat", "dog"]
    assert np.array_equal(found.entries[1].read().array, rows[1].reshape(3, 32, 32).transpose(1, 2, 0))


def test_the_hub_without_its_package_and_with_strange_names(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(QuestionError, match="pip install datasets"):
        stock.stock("hub:ylecun/mnist")
    for name in ("../etc", "a/b/c", "a b", "/x"):
        with pytest.raises(QuestionError, match="not the name of a data set"):
            stock.stock(f"hub:{name}")


def test_a_set_of_the_hub_gives_its_first_pictures_and_classes(monkeypatch):
    class Image:
        """A column of pictures, as the library calls it."""

    class ClassLabel:
        names = ("cat", "dog")

    class Value:
        pass

    class Held(list):
        features = {"id": Value(), "img": Image(), "label": ClassLabel()}  # noqa: RUF012 - as the library has it

        def __getitem__(self, what):
            return [row[what] for row in self] if isinstance(what, str) else super().__getitem__(what)

    rows = Held({"id": i, "img": picture, "label": i % 2} for i, picture in enumerate(pictures(3)))
    library = types.SimpleNamespace(load_dataset=lambda name: {"train": None, "test": rows})
    monkeypatch.setitem(sys.modules, "datasets", library)
    found = stock.stock("hub:someone/pets")
    assert [entry.label for entry in found.entries] == ["cat", "dog", "cat"]
    assert np.array_equal(found.entries[2].read().array, pictures(3)[2])

    def gated(name):
        raise OSError("401 gated\nlong story")

    library.load_dataset = gated
    with pytest.raises(QuestionError, match="could not be had from the hub"):
        stock.stock("hub:someone/pets")
    rows.features = {"id": Value()}
    library.load_dataset = lambda name: {"train": rows}
    with pytest.raises(QuestionError, match="has no column of pictures; it has id"):
        stock.stock("hub:someone/pets")


def test_a_limit_takes_pictures_from_all_of_it(tmp_path):
    found = stock.stock(folder(tmp_path / "in"), limit=3)
    assert [entry.name for entry in found.entries] == ["a/000.png", "b/001.png", "b/011.png"]
    with pytest.raises(QuestionError, match="the limit is 1 or more"):
        stock.stock(tmp_path / "in", limit=0)


def test_too_many_pictures(monkeypatch, tmp_path):
    monkeypatch.setattr(stock, "MOST_PICTURES", 5)
    with pytest.raises(QuestionError, match="has 12 pictures; a gallery holds 5"):
        from_folder(folder(tmp_path / "in"))


# Numbers on disk -----------------------------------------------------------------------------------------------------


def test_files_are_safetensors_that_others_read(tmp_path):
    from safetensors.numpy import load_file

    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros((0, 2), np.float16), "c": np.int64([7])}
    write(tmp_path / "x.safetensors", arrays, {"about": "numbers"})
    theirs, (ours, about) = load_file(tmp_path / "x.safetensors"), mapped(tmp_path / "x.safetensors")
    assert about == {"about": "numbers"}
    for name, array in arrays.items():
        assert np.array_equal(theirs[name], array)
        assert np.array_equal(ours[name], array)
        assert ours[name].dtype == array.dtype


# Real networks -------------------------------------------------------------------------------------------------------


def test_the_photographs_lie_animals_beside_animals(tmp_path):
    model = squeezenet()
    gallery = Gallery.build(PHOTOS, model, tmp_path / "out")
    assert len(gallery) == 39
    animal = np.array([int(name[1:9]) < 2_500_000 or "elephant" in name or "panda" in name for name in gallery.names])
    assert animal.sum() == 20
    from explainers.galleries.neighbors import graph

    found, _ = graph(gallery.vectors(model).at("pooled"), 1)
    assert (animal[found[:, 0]] == animal).mean() > 0.8  # 33 of 39; by chance half, give or take .08
    answer = ex.explain(ex.look(model, next(PHOTOS.glob("*tabby*"))), "nearest", gallery=gallery, count=3)
    assert any("cat" in row.id for row in answer.result.rows)


def test_the_cifar_pictures_fall_into_ten_islands(tmp_path):
    model = resnet20()
    gallery = Gallery.build(DATA / "cifar10", model, tmp_path / "out")
    kept = gallery.vectors(model)
    right = np.mean([kept.labels[p] == label for p, label in zip(kept.predicted, gallery.labels, strict=True)])
    assert right == pytest.approx(0.81, abs=0.01)
    trace = ex.look(model, DATA / "cifar10" / "ship" / "0003.jpg")
    answer = ex.explain(trace, "picture_map", gallery=gallery)
    measures = dict(answer.result.measures)
    assert measures["labels right in the map"] > 0.75  # .81 by its own answers; by chance .1
    ranked = [measures[f"trustworthiness{of}"] for of in ("", " of PCA", " by chance")]
    assert ranked == sorted(ranked, reverse=True)
    assert ranked[0] > 0.9  # by chance .5, and 1 where no neighbor is new
    assert (tmp_path / "out" / "pictures.safetensors").stat().st_size < 2_000_000
    began = time.monotonic()
    assert ex.explain(trace, "picture_map", gallery=gallery).result.done == 1  # the map was kept
    assert time.monotonic() - began < 5
