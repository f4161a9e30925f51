"""The networks that are shipped: what their cards say is measured again, on fewer pictures."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest
import torch
from tolerance import rounding

from explainers.errors import ModelError
from explainers.worlds.pond import SCHEMA, brains, render, scene
from explainers.worlds.pond.gates import Gate, answers, measure

COUNT = 300
LARGEST = {"cnn": 1.2e6, "vit": 2e6, "cheater": 1.2e6}


@cache
def measured(name: str) -> dict[str, Gate]:
    """Every gate on 300 test scenes, 40 of them also from 384 px: measured once for all tests of a network."""
    return {gate.key: gate for gate in measure(name, brains.load(name), COUNT, large=40)}


def on_card(name: str) -> dict[str, tuple[float, str]]:
    """Key to (value, verdict) in the card's table."""
    rows = re.findall(r"^\| (\w+) \| .* \| ([\d.]+) \| .* \| (passed|FAILED|published) \|$", brains.card(name), re.M)
    return {key: (float(value), verdict) for key, value, verdict in rows}


@pytest.mark.parametrize("name", brains.NAMES)
def test_the_weights_are_small_and_of_this_world(name: str) -> None:
    assert (brains.WEIGHTS / f"{name}.safetensors").stat().st_size <= LARGEST[name]
    assert f"renderer schema {SCHEMA}" in brains.card(name)
    module = brains.load(name)
    assert not module.training
    assert all(parameter.dtype == torch.float32 for parameter in module.parameters())


@pytest.mark.parametrize("name", brains.NAMES)
def test_the_card_tells_what_is_measured_here(name: str) -> None:
    """Shares agree within three standard errors of 300 pictures; effects, which are medians, within a third."""
    card = on_card(name)
    assert card.keys() == measured(name).keys()
    for key, gate in measured(name).items():
        value, verdict = card[key]
        if key == "evidence" or key.endswith("_median"):
            assert gate.value == pytest.approx(value, rel=0.34), key
        else:
            count = 40 if key == "accuracy_384" else COUNT
            assert abs(gate.value - value) <= 3 * (value * (1 - value) / count) ** 0.5 + 0.01, key
        bound_holds = None if gate.bound is None else Gate(key, value, gate.bound, gate.at_least).passed
        assert verdict == {None: "published", True: "passed", False: "FAILED"}[bound_holds]


@pytest.mark.parametrize("name", brains.NAMES)
def test_every_gate_holds(name: str) -> None:
    """On the card as it is, and on the 300 pictures here."""
    assert "FAILED" not in {verdict for _, verdict in on_card(name).values()}
    assert not [gate for gate in measured(name).values() if gate.passed is False]
    assert measured(name)["shape_median"].value < 0.5  # less than half of the evidence


def test_an_untrained_network_has_the_declared_form() -> None:
    cnn, vit = brains.build("cnn"), brains.build("vit")
    pixels = torch.zeros(1, 3, brains.SIZE, brains.SIZE)
    assert cnn.forward_features(pixels).shape == (1, 128, 12, 12)
    assert vit.forward_features(pixels).shape == (1, 65, 128)
    assert sum(p.numel() for p in cnn.parameters()) == pytest.approx(0.50e6, rel=0.02)
    assert sum(p.numel() for p in vit.parameters()) == pytest.approx(0.86e6, rel=0.02)


def test_the_hand_wired_brain_reads_the_nucleus_hue_and_nothing_else() -> None:
    brain = brains.HandWired()
    scenes = [scene("test", index, tag=False) for index in range(100)]
    nuclei = np.array([subject.creatures[0].nucleus for subject in scenes])
    # One of a hundred may be covered by other parts.
    assert (answers(brain, scenes).argmax(1) == nuclei).mean() >= 0.99
    swapped = answers(
        brain, [subject.swapped("nucleus", int(kind + 1)) for subject, kind in zip(scenes, nuclei, strict=True)]
    )
    assert (swapped.argmax(1) == (nuclei + 1) % 3).mean() >= 0.99


def test_the_hand_wired_brain_is_worked_out_by_hand() -> None:
    """A picture a quarter of which is pure red: the red filter answers .75 there; a quarter of that, times 400."""
    pixels = torch.zeros(1, 3, 8, 8)
    pixels[:, 0, :4, :4] = 1
    mean, std = (torch.tensor(row).view(3, 1, 1) for row in (brains.MEAN, brains.STD))
    logits = brains.HandWired()((pixels - mean) / std)
    assert logits[0].tolist() == pytest.approx([0.75 / 4 * 400, 0, 0], abs=rounding(8 * 8 * 3, 400))


def test_debris_is_not_part_of_the_evidence() -> None:
    rendering = render(scene("test", 2))
    evidence = rendering.evidence("cnn")
    assert not any((mask & evidence).any() for name, mask in rendering.masks.items() if name.startswith("debris"))


def test_an_unknown_network_and_damaged_weights_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    with pytest.raises(ModelError, match="cnn, vit, cheater"):
        brains.load("frog")
    monkeypatch.setattr(brains, "WEIGHTS", tmp_path)
    with pytest.raises(ModelError, match="absent or damaged"):
        brains.load("cnn")
    (tmp_path / "cnn.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="absent or damaged"):
        brains.load("cnn")
