"""How the pond's networks are trained: what a batch holds, what tokens are asked, and that a run goes on as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tolerance import rounding

from explainers.worlds.pond import album, train
from explainers.worlds.pond.album import open_album, spots, subject
from explainers.worlds.pond.renderer import render


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An album of few pictures."""
    found = tmp_path_factory.mktemp("album")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(album, "SETS", dict.fromkeys(album.SETS, 12))
        open_album(found, workers=1)
        yield found


@pytest.fixture
def few(folder, monkeypatch):
    monkeypatch.setattr(album, "SETS", dict.fromkeys(album.SETS, 12))
    monkeypatch.setattr(train, "BATCH", 24)
    monkeypatch.setattr(train, "_SAVED", 1)
    return folder


def test_the_evidence_of_each_creature_lies_where_it_was_painted(few):
    pictures = open_album(few)
    drawn, _ = subject("duet", 3)
    for size in (96, 192):
        rendering = render(drawn, size)
        for creature, ending in enumerate(("", ":1")):
            mask = rendering.masks["nucleus" + ending] | rendering.masks["appendage" + ending]
            found = spots(rendering, creature).astype(float)
            assert found.sum() / 255 * (size // 24) ** 2 == pytest.approx(mask.sum(), rel=0.01)
            middle = [np.average(np.arange(24), weights=found.sum(1 - axis)) for axis in (0, 1)]
            truly = [np.average(np.arange(size), weights=mask.sum(1 - axis)) * 24 / size for axis in (0, 1)]
            assert middle == pytest.approx(truly, abs=0.6)
    owners = pictures["duet"].owners[3]
    assert [int(row.argmax()) for row in owners] == list(drawn.classes_a)
    assert pictures["single"].owners[:, 1].max() == 0 == pictures["single"].spots[:, 1].max()
    assert np.allclose(pictures["single"].owners[:, 0], pictures["single"].targets)


def test_the_map_of_the_evidence_turns_with_its_picture(few):
    mixture = train.Mixture(open_album(few), "vit", 1)
    batch = mixture.batch(0, 0.0)
    shares = train.PLANS["vit"].mix[0]
    assert batch.pairs == round(24 * shares[1])
    assert len(batch.pixels) == len(batch.spots) == len(batch.owners) == len(batch.targets) == 24
    again = mixture.batch(0, 0.0)
    assert torch.equal(batch.pixels, again.pixels)
    corner = torch.zeros(8, 1, 6, 6)
    corner[:, :, 0, 1] = 1
    seen = {tuple(np.argwhere(one[0].numpy())[0]) for one in train._turned(corner, np.arange(8))}
    assert len(seen) == 8  # every turn and its mirror image puts it elsewhere


def test_tokens_are_asked_for_the_creature_that_they_lie_on():
    """By hand: two tokens on the first creature, a half of one on the second, one on neither."""
    cover = torch.zeros(1, 2, 24, 24)
    cover[0, 0, :12, :] = 1  # the upper two of four tokens
    cover[0, 1, 12:18, :12] = 1  # half of the lower left one
    owners = torch.zeros(1, 2, 3)
    owners[0, 0, 0] = owners[0, 1, 2] = 1
    odds = torch.tensor([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.9, 0.05, 0.05]])
    right, wrong = 1 - train._DOUBT + train._DOUBT / 3, train._DOUBT / 3
    asked = [
        right * np.log(0.5) + 2 * wrong * np.log(0.25),
        right * np.log(0.8) + 2 * wrong * np.log(0.1),
        (right * np.log(0.8) + 2 * wrong * np.log(0.1)) / 2,
    ]
    assert float(train._named(odds.log()[None], cover, owners)) == pytest.approx(
        -sum(asked) / 2.5, rel=rounding(24 * 24)
    )


def test_tokens_are_asked_for_the_same_odds_of_all_wrong_classes():
    """A number for the nucleus plus one for the appendage would leave more for a class that shares one of them."""
    cover, owners = torch.ones(1, 2, 24, 24), torch.zeros(1, 2, 9)
    cover[:, 1], owners[0, 0, 4] = 0, 1
    answers = torch.zeros(1, 4, 9, requires_grad=True)
    turn = torch.optim.LBFGS([answers], max_iter=100)

    def found():
        turn.zero_grad()
        loss = train._named(answers, cover, owners)
        loss.backward()
        return loss.detach()

    turn.step(found)
    odds = answers.detach().softmax(-1)[0, 0]
    assert odds[4] == pytest.approx(1 - train._DOUBT * 8 / 9, abs=1e-3)
    assert torch.allclose(odds[[0, 1, 2, 3, 5, 6, 7, 8]], torch.tensor(train._DOUBT / 9), atol=1e-3)


def test_duets_whose_parts_must_be_paired_come_more_often(few):
    def classes(*pairs):
        return np.stack([np.eye(9, dtype=np.float32)[list(pair)] for pair in pairs])

    # A class is three times the nucleus plus the appendage.
    assert train._strangers(classes((0, 4), (0, 1), (0, 3), (5, 7))).tolist() == [True, False, False, True]
    pictures = open_album(few)
    strangers = train._strangers(pictures["duet"].owners)
    rows = train.Mixture(pictures, "vit", 1)._rows["duet"]
    assert (np.bincount(rows) == np.where(strangers, train.PLANS["vit"].apart, 1)).all()
    assert len(train.Mixture(pictures, "cnn", 1)._rows["duet"]) == 12


def test_shares_are_told_of_the_pictures_they_are_about():
    targets = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5], [1 / 3] * 3])
    logits = torch.tensor([[2.0, 1, 0], [3, 2, 0], [3, 2, 0], [0, 0, 1]])
    assert train._right(logits, targets) == 1
    assert train._both(logits, targets) == 0.5


@pytest.mark.parametrize("name", ["vit", "cheater"])
def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(few, monkeypatch, name):
    def weights(module):
        return torch.cat([value.flatten().double() for value in module.state_dict().values()])

    whole = weights(train.train(name, few, 1, samples=4 * 24))
    (few / f"{name}-checkpoint.pt").unlink()
    batch = train.Mixture.batch

    def cut_off(self, step, progress):
        if step == 2:
            raise KeyboardInterrupt
        return batch(self, step, progress)

    monkeypatch.setattr(train.Mixture, "batch", cut_off)
    with pytest.raises(KeyboardInterrupt):
        train.train(name, few, 1, samples=4 * 24)
    monkeypatch.setattr(train.Mixture, "batch", batch)
    assert torch.equal(weights(train.train(name, few, 1, samples=4 * 24)), whole)
    (few / f"{name}-checkpoint.pt").unlink()
