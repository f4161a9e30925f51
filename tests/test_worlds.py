"""Worlds: who belongs to one, and that a third is one folder and nothing else."""

import copy
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import explainers as ex
from explainers import scores, worlds
from explainers.imagining.worlds import natural_pictures, second_opinion
from explainers.network import sanity
from explainers.worlds import pond

ROOT = Path(__file__).parents[1]

MEADOW = '''
"""The meadow: a square is bright or dark, and nothing else decides."""
from pathlib import Path
import numpy as np
import torch
from torch import nn
from ..world import Collection, Known, Network, Taken, Truth, World


class Brightness(nn.Module):
    """Bright is the mean of the upper half, dark what lacks of it; the lower half counts for nothing."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)
        with torch.no_grad():
            self.mix.weight.zero_()
            self.mix.weight[:, :, 1, 1] = 1 / 3
            self.mix.bias.zero_()
            self.head.weight.copy_(torch.tensor([[1.0] * 4, [-1.0] * 4]))
            self.head.bias.zero_()

    def forward(self, pixels):
        return self.head(self.mix(pixels)[:, :, :4].mean((2, 3)))


def drawn(upper, lower, side=8):
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[: side // 2], pixels[side // 2 :] = upper, lower
    return pixels


def halves(side):
    upper = np.zeros((side, side), bool)
    upper[: side // 2] = True
    return {"sky": upper, "soil": ~upper}


def picture(name, side):
    kind, _, number = name.partition(":")
    if kind != "meadow" or not number.isdecimal():
        return None
    shade = int(number) % 256

    def effects(score):
        whole, no_sky, no_soil = score(np.stack([drawn(shade, 90), drawn(0, 90), drawn(shade, 0)]))
        return {"sky": float(whole - no_sky), "soil": float(whole - no_soil)}

    def given(heat):
        rows = heat.shape[0] // 2
        return {"sky": float(heat[:rows].sum()), "soil": float(heat[rows:].sum())}

    return Known(
        name, drawn(shade, 90, side), f"a sky of shade {shade}", "meadow.png", "# a meadow\\n",
        evidence=lambda network: halves(side)["sky"],
        truth=Truth({"sky": "the sky", "soil": "the soil"}, effects, given, {"soil": "the soil"}),
    )


WORLD = World(
    scheme="meadow",
    title="Meadows",
    knows="meadows",
    folder=Path(__file__).parent,
    networks=(Network("plain", "Tells bright skies from dark ones", 0.0001),),
    taken=Taken(8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), ("bright", "dark")),
    load=lambda name: Brightness().eval(),
    natural=lambda count: [drawn(10 * i, 90) for i in range(count)],
    picture=picture,
    naming="meadow:7",
    offered=("meadow:200",),
    collection=lambda: Collection(
        tuple(f"meadow:{i}" for i in range(4)), ("dark",) * 4, {}, lambda i: drawn(i, 90), named=True
    ),
)
'''

ASK = """
import json
import explainers as ex
from explainers.galleries import gallery
from explainers.ui.answering import honest
from explainers.ui.answering.work import streamed
from explainers.ui.catalogue import Catalogue
from explainers.ui.shelf import Shelf
from explainers.imagining.worlds import natural_pictures

catalogue = Catalogue()
told = catalogue.as_json()
model = ex.load("meadow:plain")
shown = catalogue.picture("meadow:200")
question = {"model": "meadow:plain", "scene": "meadow:200", "method": "input_x_gradient", "target": "bright"}
question |= {"token": "t"}
*_, judged = streamed(question, Shelf(catalogue), honest.judged)
print(json.dumps({
    "suggested": [each.identifier for each in ex.models()],
    "listed": {each["id"]: each["world"] for each in told["networks"]},
    "first": told["networks"][0]["id"],
    "offered": [each["scene"] for each in told["scenes"]],
    "known": told["worlds"]["meadow"],
    "about": shown.as_json()["about"],
    "decides": int(shown.truth("meadow:plain").sum()),
    "elsewhere": shown.truth(told["networks"][0]["id"]) is None,
    "galleries": gallery.offered(),
    "digests": len(set(gallery.Gallery.open("meadow").digests)),
    "natural": len(natural_pictures(model, 3)),
    "truth": judged["truth"],
}))
"""


def test_a_third_world_is_one_folder(tmp_path):
    """A copy of the package with one folder more: nothing else is touched."""
    shutil.copytree(ROOT / "explainers", tmp_path / "explainers", ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path / "explainers" / "worlds" / "meadow"
    folder.mkdir()
    (folder / "__init__.py").write_text(MEADOW, "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "meadow:plain" in told["suggested"]
    assert told["listed"]["meadow:plain"] == "meadow"
    assert told["first"] == worlds.home().first  # where visitors arrive stays what it was
    assert "meadow:200" in told["offered"]
    assert told["known"]["knows"] == "meadows"
    assert told["about"] == "a sky of shade 200"
    assert told["decides"] == 384 * 384 // 2
    assert told["elsewhere"]
    assert "meadow" in told["galleries"]
    assert (told["digests"], told["natural"]) == (4, 3)
    # Bright rather than the mean of both: z = 4·mean of the sky, whose effect is its whole, 4·200/255; the soil's is 0.
    effects = {each["name"]: each["effect"] for each in told["truth"]["elements"]}
    assert effects["the sky"] == pytest.approx(4 * 200 / 255, rel=1e-5)
    assert effects["the soil"] == 0
    assert told["truth"]["pairs"] == 1
    assert told["truth"]["asides"] == [{"on": "the soil", "share": 0}]


def test_only_loading_puts_a_network_in_a_world():
    model = ex.load("pond:cnn")
    assert model.world is pond.WORLD
    copies = [
        sanity.randomized(model),
        ex.wrap(model.module, labels=model.labels, framing=model.framing, name="pond:cnn"),
        replace(model, name="mine"),
        replace(model, module=copy.deepcopy(model.module)),
    ]
    for each in copies:
        assert each.world is None
        assert second_opinion(each) is None
    assert not natural_pictures(copies[0], 4)  # its vectors are of no gallery either
    assert len(natural_pictures(model, 4)) == 4
    assert second_opinion(model).name == "pond:vit"


def test_what_a_network_was_trained_to_stand_is_told_of_that_very_network():
    """The card says whether covering lies within what the network knows, and a copy by the same name does not."""
    model = ex.load("pond:cnn")
    namesake = ex.wrap(model.module, labels=model.labels, framing=model.framing, name="pond:cnn")
    picture = pond.render(pond.scene("test", 6)).pixels
    told = []
    for each in (model, namesake):
        trace = ex.look(each, picture)
        told.append(scores.judge(trace, ex.explain(trace, "cam").heatmap).domain)
    assert told == [True, False]


def test_worlds_are_found_in_their_order_and_name_what_they_have():
    assert [world.scheme for world in worlds.worlds()] == ["pond", "digits"]
    for world in worlds.worlds():
        names = {network.name for network in world.networks}
        assert {network.second for network in world.networks if network.second} <= names
        assert world.pair is None or {world.pair.honest, world.pair.cheater} <= names
        assert worlds.of(world.first) is world
        for name in world.offered:
            where, known = worlds.picture(name, 24)
            assert (where, known.name, known.pixels.shape) == (world, name, (24, 24, 3))
    assert worlds.of("timm:resnet50") is worlds.of("pond:") is worlds.of("pond:whale") is None
    assert worlds.picture("nowhere", 24) is None


def test_no_name_of_a_world_stands_outside_it():
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()[:80]}"
        for path in sorted((ROOT / "explainers").rglob("*"))
        if path.suffix in {".py", ".js", ".html", ".css", ".json"} and (ROOT / "explainers/worlds") not in path.parents
        for line in path.read_text("utf-8").splitlines()
        for world in worlds.worlds()
        if f"{world.scheme}:" in line
    ]
    assert not found
