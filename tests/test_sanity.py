"""A copy that has learned nothing: same build, other weights; and maps that depend on what was learned."""

import threading

import numpy as np
import pytest
import timm
import torch

import explainers as ex
from explainers.network.sanity import randomized
from explainers.scores import spearman
from tests.networks import CIFAR_CLASSES, cifar, resnet20, squeezenet


def digest(module):
    return [tensor.clone() for tensor in module.state_dict().values()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_original_stays_and_the_copy_knows_nothing_of_it():
    model = ex.load("pond:cnn")
    before, modes = digest(model.module), [m.training for m in model.module.modules()]
    state = torch.random.get_rng_state()
    copy = randomized(model)
    assert same(before, digest(model.module))
    assert modes == [m.training for m in copy.module.modules()] == [m.training for m in model.module.modules()]
    assert torch.equal(state, torch.random.get_rng_state())
    for (name, old), new in zip(model.module.named_parameters(), copy.module.parameters(), strict=True):
        if old.ndim > 1:
            # Of n unrelated weights ± 1/√n, and their spread ± 1/√2n of itself; the fewest here are 324: .06 and .04.
            assert abs(np.corrcoef(old.detach().ravel(), new.detach().ravel())[0, 1]) < 0.3, name
            assert float(new.std()) == pytest.approx(float(old.std()), rel=0.3), name
    assert copy.random_weights
    assert (copy.labels, copy.framing) == (model.labels, model.framing)
    assert list(copy.anatomy.sites) == list(model.anatomy.sites)


def test_the_same_seed_gives_the_same_copy_from_any_thread():
    model = ex.load("pond:vit")
    copies = []
    threads = [threading.Thread(target=lambda: copies.append(randomized(model, 3))) for _ in range(4)]
    for thread in threads:
        thread.start()
    torch.rand(100)  # somebody else draws at random, too
    for thread in threads:
        thread.join()
    assert all(same(digest(copies[0].module), digest(copy.module)) for copy in copies[1:])
    assert not same(digest(copies[0].module), digest(randomized(model, 4).module))


@pytest.mark.parametrize(
    "load", [resnet20, squeezenet, lambda: ex.load("pond:vit")], ids=["resnet20", "squeeze", "vit"]
)
def test_signals_reach_the_end_and_depend_on_the_picture(load):
    copy = randomized(load())
    draw = np.random.default_rng(0)
    one, other = (ex.look(copy, draw.integers(0, 256, (64, 64, 3), np.uint8)).logits for _ in range(2))
    assert torch.isfinite(one).all()
    assert float(one.std()) > 1e-3
    assert not torch.allclose(one, other)


def test_layers_that_began_at_zero_are_drawn_as_well():
    module = timm.create_model("test_vit", num_classes=5).eval()
    torch.nn.init.zeros_(module.head.weight)
    copy = randomized(ex.wrap(module, framing=ex.pictures.Framing(size=(160, 160))))
    assert float(copy.module.head.weight.detach().std()) > 0.01


@pytest.mark.parametrize(("method", "options"), [("grad_cam", {"signed": True}), ("gradient", {"channels": "sum"})])
def test_maps_of_a_real_network_change_with_its_weights(method, options):
    model = resnet20()
    copy = randomized(model)
    alike = []
    for label in CIFAR_CLASSES:
        for number in range(2):
            learned = ex.explain(ex.look(model, cifar(label, number)), method, **options)
            target = learned.prediction.index
            random = ex.explain(ex.look(copy, cifar(label, number)), method, target=target, **options)
            alike.append(spearman(learned.native, random.native))
    # Unrelated maps of 64 cells in blobs of four agree by 0 ± 1/√15 = .26: .5 is passed by 3 in 100, by more than two
    # of twenty in 2 of 100 seeds; the mean of twenty is off by .06.
    assert np.mean(np.array(alike) < 0.5) >= 0.9
    assert abs(np.mean(alike)) < 0.3


def test_a_map_that_ignores_the_network_does_not_change():
    # The negative control: where the picture is bright is no matter of weights.
    pixels = [ex.look(model, cifar("cat")).pixels.mean(0).numpy() for model in (resnet20(), randomized(resnet20()))]
    assert spearman(*pixels) == pytest.approx(1)
