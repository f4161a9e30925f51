"""Twelve kinds of architecture with no setting; `make sweep` takes all families."""

import json

import pytest
import timm
from networks import shared
from sweep import examine, timm_network

KINDS = {
    # family: (network, form, grid, prefix tokens): what anybody can read in its paper
    "resnet": ("resnet10t", "NCHW", (6, 6), 0),
    "densenet": ("densenet121", "NCHW", (7, 7), 0),
    "efficientnet": ("test_efficientnet", "NCHW", (5, 5), 0),
    "convnext": ("test_convnext", "NCHW", (5, 5), 0),
    "mobilenetv3": ("mobilenetv3_small_050", "NCHW", (7, 7), 0),
    "mambaout, channels last": ("test_mambaout", "NHWC", (5, 5), 0),
    "vision_transformer, class token": ("test_vit", "tokens", (10, 10), 1),
    "vision_transformer, registers": ("test_vit2", "tokens", (10, 10), 1),
    "xcit, channel attention": ("xcit_nano_12_p16_224", "tokens", (14, 14), 1),
    "cait, class attention": ("cait_xxs24_224", "tokens", (14, 14), 0),
    "mlp_mixer, no attention": ("gmlp_ti16_224", "tokens", (14, 14), 0),
    "swin_transformer, windows": ("swin_tiny_patch4_window7_224", "NHWC", (7, 7), 0),
}


MIXES_ALL = {"xcit, channel attention"}
"""With random weights each of its cells depends on all of the picture about equally (.22 to .28 a quadrant)."""


@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_found_and_explained_with_no_setting(kind):
    name, form, grid, prefix = KINDS[kind]
    models = []

    def build():
        models.append(timm_network(name))
        return models[0]

    row = examine("timm", kind, name, build, sums=False)  # sums are tested in test_deeplift.py
    assert row.good, row
    layout = models[0].anatomy.sites["last"].layout
    assert (layout.form, layout.grid, layout.extra) == (form, grid, prefix)
    if kind not in MIXES_ALL:
        assert row.placed == "4/4"


def test_the_sweep_knows_every_family_of_the_list():
    families = json.loads(shared("timm_families.json").read_text())
    assert len(families) == 98
    assert not [name for name in families.values() if not timm.is_model(name)]
