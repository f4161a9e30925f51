"""What training with augmentation does: small runs of the experiment, and the results that come with it."""

import numpy as np
import pytest
import torch
from tolerance import rounding
from torch.nn import functional as F

from explainers.augmenting import experiment
from explainers.errors import Stopped
from explainers.worlds.digits import held_out, pictures
from explainers.worlds.digits.train import train


@pytest.fixture(scope="module")
def small():
    """A run with few digits and one epoch: quick, and as the real one in everything else."""
    heard = []
    told = experiment.experiment(epochs=1, count=32, report=lambda done, _: heard.append(done))
    return told, heard


def without_time(told):
    return told | {"ways": [{k: v for k, v in way.items() if k != "seconds"} for way in told["ways"]]}


def test_it_tells_how_far_it_is(small):
    _, heard = small
    assert heard == sorted(heard)
    assert heard[-1] == 1
    assert len(heard) == 8  # a batch and an examination, four times


def test_the_same_seed_gives_the_same(small):
    again = experiment.experiment(epochs=1, count=32)
    assert without_time(again) == without_time(small[0])


def test_it_stops_when_asked():
    for after in (0, 3):
        asked = iter([False] * after + [True] * 1000)
        with pytest.raises(Stopped):
            experiment.experiment(epochs=1, count=32, stop=lambda asked=asked: next(asked))


@pytest.mark.parametrize("told", ["shipped", "small"])
def test_every_way_is_asked_the_same(told, small):
    told = experiment.shipped() if told == "shipped" else small[0]
    assert [way["name"] for way in told["ways"]] == ["none", "classic", "rand_augment", "cutmix"]
    assert [sweep["name"] for sweep in told["sweeps"]] == list(experiment.TRANSFORMS)
    for way in told["ways"]:
        assert 0 <= way["clean"] <= 1
        assert np.isfinite(way["heat"]).all()
        for sweep in told["sweeps"]:
            curve = way["curves"][sweep["name"]]
            assert len(curve) == len(sweep["along"]) == experiment.POINTS
            neutral = [
                v for v, at in zip(curve, sweep["along"], strict=True) if at == {"crop": 1}.get(sweep["name"], 0)
            ]
            if sweep["name"] in ("rotation", "shift", "shear", "blur", "noise", "erasing", "crop"):
                assert neutral == [way["clean"]]  # where nothing is done, nothing changes


def test_what_came_with_it_was_trained_in_full_and_shows_what_augmentation_is_for():
    told = experiment.shipped()
    assert told["epochs"] == experiment.EPOCHS
    ways = {way["name"]: way for way in told["ways"]}
    # Of 450 held out .99 are right, give or take √(.99 · .01 / 450) = .005; by chance .1 ± .014.
    assert all(way["clean"] > 0.9 for way in ways.values())
    turned = {name: np.mean(way["curves"]["rotation"]) for name, way in ways.items()}
    assert max(turned["classic"], turned["rand_augment"]) > turned["none"]
    assert experiment.RESULTS.stat().st_size < 40_000


def test_mixed_labels_reach_the_loss():
    """A mix that swaps all labels of two classes is learned as told: seven is called one, and one seven."""
    pixels, labels = pictures()
    kept = np.isin(labels, (1, 7)) & ~held_out()

    def swapped(batch, shares, chance):
        order = list(range(8))
        order[1], order[7] = 7, 1
        return batch, shares[:, order]

    module = train(pixels[kept], labels[kept], mix=swapped, epochs=12)
    from explainers.worlds.digits.train import accuracy

    asked = np.isin(labels, (1, 7)) & held_out()
    # About 90 are asked: by chance half of them, give or take .05, and as labelled none.
    assert accuracy(module, pixels[asked], 8 - labels[asked]) > 0.9


def test_cutmix_pairs_as_torchvision_does():
    batch = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    shares = F.one_hot(torch.arange(6), 10).float()
    mixed, labels = experiment._pasted(batch, shares, torch.Generator().manual_seed(1))
    assert torch.allclose(labels.sum(1), torch.ones(6))
    for number in range(6):
        from_other = (mixed[number] != batch[number]).any(0)
        assert torch.equal(mixed[number][:, from_other], batch[number - 1][:, from_other])
        assert float(labels[number, number]) == pytest.approx(
            1 - float(from_other.float().mean()), abs=rounding(32 * 32)
        )
