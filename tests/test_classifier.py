"""A classifier is asked by label or number, read in any mode, and its depths follow its grids."""

import numpy as np
import pytest
import torch
from torch import nn

import explainers as ex
from explainers.errors import ModelError, QuestionError
from explainers.pictures import Framing

FRAMING = Framing(size=(32, 32), mode="squash")


def network(strides: tuple[int, ...], classes: int = 4) -> nn.Module:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for i, stride in enumerate(strides):
        layers += [nn.Conv2d(3 if i == 0 else 6, 6, 3, stride, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, classes)).eval()


def test_a_class_is_found_by_label_number_or_part_of_a_label():
    model = ex.wrap(network((2,)), labels=["tabby, tabby cat", "Egyptian cat", "crane", "crane"], framing=FRAMING)
    assert model.index("Egyptian_cat") == 1
    assert model.index("tabby") == 0
    assert model.index(np.int64(3)) == 3
    with pytest.raises(QuestionError, match=r"several classes “crane”: 2 and 3\. Give the number\."):
        model.index("crane")
    for wrong in (True, 1.5, None, -1, 4):
        with pytest.raises(QuestionError):
            model.index(wrong)
    with pytest.raises(QuestionError, match="Did you mean “Egyptian cat”"):
        model.index("egypt")


@pytest.mark.parametrize(
    ("strides", "grids"),
    [
        ((2, 1, 1, 1), [16, 16, 16, 16]),
        ((2, 1, 2, 1), [16, 16, 8, 8]),
        ((2, 2, 2, 1), [16, 8, 4, 4]),
        ((1, 2, 2, 2), [32, 16, 8, 4]),
    ],
)
def test_depths_are_the_ends_of_the_grids_or_halfway_between(strides, grids):
    sites = ex.wrap(network(strides), framing=FRAMING).anatomy.sites
    assert [sites[depth].layout.grid[0] for depth in ("early", "middle", "late", "last")] == grids
    order = [int(sites[depth].point.path) for depth in ("early", "middle", "late", "last")]
    assert order == sorted(order)


def test_a_module_in_training_mode_is_refused_and_left_as_it_is():
    module = network((2,)).train()
    with pytest.raises(ModelError, match=r"call \.eval\(\) on it first"):
        ex.wrap(module, framing=FRAMING)
    assert module.training


def test_parameters_made_in_inference_mode_are_refused_in_words():
    with torch.inference_mode():
        module = network((2,))
    with pytest.raises(ModelError, match=r"was built under torch\.inference_mode"):
        ex.wrap(module, framing=FRAMING)


def test_what_is_not_a_classifier_is_refused_in_words():
    with pytest.raises(ModelError, match="has 4 outputs, but 2 labels were given"):
        ex.wrap(network((2,)), labels=["a", "b"], framing=FRAMING)
    with pytest.raises(ModelError, match="a classifier returns one number for each class"):
        ex.wrap(nn.Conv2d(3, 4, 1).eval(), framing=FRAMING)
    with pytest.raises(ModelError, match="does not take a picture of 32 × 32 pixels"):
        ex.wrap(nn.Sequential(nn.Flatten(), nn.Linear(5, 4)).eval(), framing=FRAMING)


def test_bills_of_a_comparison_add_up_to_one_pass():
    model = ex.wrap(network((2, 2)), framing=FRAMING)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    answers = ex.compare(ex.look(model, picture), ["cam", "grad_cam", "gradient"])
    assert sum(answer.spent.forwards for answer in answers) == 1
    assert sum(answer.spent.backwards for answer in answers) == 2
    assert ex.compare(ex.look(model, picture), []) == []
