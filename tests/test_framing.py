"""Knows that a framing feeds what the libraries feed, and that heat lands where the network looked."""

import numpy as np
import pytest
import timm
import torch
import transformers
from networks import shared
from PIL import Image
from tolerance import close, rounding
from torchvision import transforms
from torchvision.models import AlexNet_Weights, ResNet50_Weights, ViT_H_14_Weights

from explainers.errors import ModelError
from explainers.pictures import Framing, Picture

STEP = 1 / 255  # one grey level
SLACK = 2.01 * STEP  # Pillow takes the cut as float32, which can turn a rounding at .5 in each of its two passes


def noise(height, width):
    return Picture.read(np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8))


def photos():
    return [Picture.read(path) for path in sorted(shared("photos").glob("*.JPEG"))[::5]]


def ramps(height, width):
    """Make a picture as smooth as a photograph: red grows to the right, green downward."""
    y, x = np.mgrid[:height, :width]
    return Picture.read(np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8))


def spotted(height, width, y, x, radius):
    """Make a black picture with one white square around (y, x)."""
    array = np.zeros((height, width, 3), np.uint8)
    array[y - radius : y + radius, x - radius : x + radius] = 255
    return Picture.read(array)


def centroid(heat):
    """(y, x) in continuous coordinates: the centre of pixel 0 is at .5."""
    y, x = np.mgrid[: heat.shape[0], : heat.shape[1]] + 0.5
    return np.array([(heat * y).sum(), (heat * x).sum()]) / heat.sum()


def impulse(cells, i, j):
    heat = np.zeros((cells, cells), np.float32)
    heat[i, j] = 1
    return heat


# Feeding what the libraries feed -------------------------------------------------------------------------------------

SHAPES = [(400, 300), (333, 500), (60, 240), (50, 60), (224, 224)]


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (235, 224), (224, 224), (40, 32), (199, 224), (60, 224)])
def test_a_crop_equals_torchvision(resize, crop, name):
    reference = transforms.Compose(
        [
            transforms.Resize(resize, transforms.InterpolationMode[name.upper()]),
            transforms.CenterCrop(crop),  # pads with black where the resized picture is smaller
            transforms.ToTensor(),
        ]
    )
    for picture in [*map(noise, *zip(*SHAPES, strict=True)), ramps(333, 501)]:
        framed = Framing((crop, crop), resize=resize, resample=name).frame(picture)
        assert (framed.dtype, tuple(framed.shape)) == (torch.float32, (3, crop, crop))
        difference = (framed - reference(picture.image())).abs()
        assert difference.max() <= SLACK
        assert difference.mean() < 0.05 * STEP


def test_a_crop_of_photographs_equals_torchvision():
    reference = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])
    for picture in photos():
        assert (Framing((224, 224)).frame(picture) - reference(picture.image())).abs().max() <= SLACK


def test_a_squash_equals_torchvision_exactly():
    reference = transforms.Compose([transforms.Resize((96, 80)), transforms.ToTensor()])
    for shape in SHAPES:
        picture = noise(*shape)
        assert torch.equal(Framing((96, 80), mode="squash").frame(picture), reference(picture.image()))


def test_a_picture_of_the_right_size_is_fed_untouched():
    picture = noise(32, 32)
    for framing in (Framing((32, 32), crop_share=1), Framing((32, 32), mode="squash"), Framing((32, 32), resize=32)):
        assert torch.equal(framing.frame(picture), torch.from_numpy(picture.array.copy()).permute(2, 0, 1) / 255)


@pytest.mark.parametrize("weights", [AlexNet_Weights.IMAGENET1K_V1, ResNet50_Weights.IMAGENET1K_V2, *ViT_H_14_Weights])
def test_torchvision_presets(weights):
    preset = weights.transforms()
    framing = Framing.from_torchvision(preset)
    for picture in (noise(300, 451), ramps(600, 401)):
        difference = framing.normalize(framing.frame(picture)) - preset(picture.image())
        assert difference.abs().max() <= SLACK / min(framing.std)


@pytest.mark.parametrize(
    "config",
    [
        {"input_size": (3, 224, 224), "crop_pct": 0.9, "crop_mode": "center", "interpolation": "bicubic"},
        {"input_size": (3, 224, 224), "crop_pct": 0.95, "crop_mode": "squash", "interpolation": "bilinear"},
        {"input_size": (3, 288, 288), "crop_pct": 1.0, "crop_mode": "squash", "interpolation": "bicubic"},
        {"input_size": (3, 192, 256), "crop_pct": 0.875, "crop_mode": "center", "interpolation": "bicubic"},
    ],
)
def test_timm_configurations(config):
    config |= {"mean": (0.5, 0.4, 0.3), "std": (0.5, 0.6, 0.7)}
    framing = Framing.from_timm(config)
    for picture in (noise(301, 399), noise(399, 301), ramps(200, 701)):
        reference = timm.data.create_transform(**config)(picture.image())
        assert (framing.normalize(framing.frame(picture)) - reference).abs().max() <= SLACK / 0.5


def test_timm_border_reads_the_whole_shorter_side():
    framing = Framing.from_timm({"input_size": (3, 64, 64), "crop_pct": 0.9, "crop_mode": "border"})
    assert framing.box((100, 100)) == (0, 0, 100, 100)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ViTImageProcessor", {}),
        ("ViTImageProcessor", {"do_normalize": False}),
        ("DeiTImageProcessor", {}),  # squashed to 256, then cropped
        ("CLIPImageProcessor", {}),
        ("ConvNextImageProcessor", {}),  # 384: squashed
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}}),  # below: cropped
        ("PoolFormerImageProcessor", {}),
        ("LevitImageProcessor", {}),
        ("MobileViTImageProcessor", {}),  # blue first, not normalised, resized smaller than the crop
        ("EfficientNetImageProcessor", {}),  # divided by the deviation twice
        ("EfficientNetImageProcessor", {"rescale_factor": 1 / 127.5, "rescale_offset": True, "include_top": False}),
    ],
)
def test_transformers_processors(name, options):
    processor = getattr(transformers, name)(**options)
    framing = Framing.from_transformers(processor.to_dict())
    for picture in (noise(301, 399), noise(398, 300)):
        reference = processor(picture.image(), return_tensors="pt")["pixel_values"][0]
        assert (framing.normalize(framing.frame(picture)) - reference).abs().max() <= SLACK / min(framing.std)


def test_older_transformers_configurations_give_sizes_as_numbers():
    scale = {"image_mean": [0.5, 0.5, 0.5], "image_std": 0.5}
    squash = Framing.from_transformers({"size": 224, **scale})
    crop = Framing.from_transformers({"size": 256, "crop_size": 224, "do_center_crop": True, "resample": 3, **scale})
    assert (squash.size, squash.mode, squash.std) == ((224, 224), "squash", (0.5, 0.5, 0.5))
    assert (crop.size, crop.mode, crop.resize, crop.resample) == ((224, 224), "crop", 256, "bicubic")


@pytest.mark.parametrize(
    "config",
    [
        {"size": {"longest_edge": 800}},
        {},
        {"size": 224, "do_normalize": True},
        {"size": 224, "resample": 99},
        {"size": 224, "image_mean": [0.5], "image_std": [1, 1]},
    ],
)
def test_processors_that_do_not_say_enough_are_refused_in_words(config):
    with pytest.raises(ModelError, match=r"\.$"):
        Framing.from_transformers(config)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (0, 8)},
        {"crop_share": 0},
        {"crop_share": float("nan")},
        {"std": (1, 0, 1)},
        {"resize": 0},
        {"resize": (8, -1)},
        {"mode": "stretch"},
        {"resample": "sinc"},
    ],
)
def test_a_framing_that_frames_nothing_is_refused(wrong):
    with pytest.raises(ModelError):
        Framing(**{"size": (8, 8)} | wrong)


# Normalising -------------------------------------------------------------------------------------------------------


def test_normalising_is_what_it_says_and_keeps_kind_and_slope():
    framing = Framing((2, 2), mean=(0.5, 0.25, 0), std=(0.5, 0.25, 2))
    pixels = torch.full((4, 3, 2, 2), 1.0, dtype=torch.float64, requires_grad=True)
    fed = framing.normalize(pixels)
    assert fed.dtype == torch.float64
    assert fed[0, :, 0, 0].tolist() == [1, 3, 0.5]
    fed.sum().backward()
    assert pixels.grad[3, :, 1, 1].tolist() == [2, 4, 0.5]


def test_a_network_trained_on_blue_first_is_fed_blue_first():
    framing = Framing((1, 1), mean=(0, 0, 0.5), std=(1, 1, 1), channels="bgr")
    red = torch.tensor([1.0, 0, 0])[:, None, None]
    assert framing.normalize(red).flatten().tolist() == [0, 0, 0.5]


# Heat lands on the spot -------------------------------------------------------------------------------------------

FRAMINGS = {
    "crop": Framing((224, 224)),
    "whole": Framing((224, 224), crop_share=1.0),
    "small": Framing((32, 32), resize=36),
    "oblong": Framing((160, 224)),
    "squash": Framing((96, 96), mode="squash"),
    "squashed and cut": Framing((224, 224), mode="squash", resize=(256, 256)),
    "padded": Framing((224, 224), resize=180),
}
SPOTS = {  # height, width, y, x
    "landscape": (300, 400, 110, 250),
    "portrait": (800, 500, 330, 200),
    "panorama": (200, 1200, 120, 560),
    "tower": (1200, 200, 640, 70),
    "small": (40, 52, 14, 30),
}


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
@pytest.mark.parametrize("spot", SPOTS.values(), ids=SPOTS)
def test_heat_at_the_cell_where_the_network_saw_the_spot_lands_on_the_spot(framing, spot):
    height, width, y, x = spot
    size, cells = (height, width), 8
    framed = framing.frame(spotted(height, width, y, x, max(2, min(size) // 40)))
    seen_y, seen_x = centroid(framed.mean(0).numpy())
    place = framing.to_picture([seen_x, seen_y], size)
    assert np.abs(place - (x, y)).max() < 0.02 * max(size)

    i, j = int(seen_y / framing.size[0] * cells), int(seen_x / framing.size[1] * cells)
    heat = framing.unframe(impulse(cells, i, j), size)
    assert (heat.shape, heat.dtype) == (size, np.float32)
    cell_in_picture = np.abs(np.diff(framing.to_picture([[0, 0], np.array(framing.size[::-1]) / cells], size), axis=0))
    assert (np.abs(centroid(heat) - (y, x)) <= cell_in_picture[0, ::-1] / 2 + 1).all()


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
@pytest.mark.parametrize("spot", SPOTS.values(), ids=SPOTS)
def test_constant_heat_is_constant_in_the_box_and_zero_outside(framing, spot):
    size = spot[:2]
    heat = framing.unframe(np.full((7, 7), -3.0), size)
    x0, y0, x1, y1 = framing.box(size)
    assert 0 <= x0 < x1 <= size[1]
    assert 0 <= y0 < y1 <= size[0]
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    inside = (y >= y0) & (y < y1) & (x >= x0) & (x < x1)
    assert inside.any()
    assert close(heat[inside], np.full(inside.sum(), -3), rounding(16, 3))  # a weighted mean of cells, both ways
    assert not heat[~inside].any()


@pytest.mark.parametrize("cells", [4, 7, 14])
@pytest.mark.parametrize("picture", [(224, 224), (400, 300), (97, 131)])
@pytest.mark.parametrize("keep_sum", [False, True])
def test_an_impulse_in_an_inner_cell_has_its_centroid_at_the_centre_of_the_cell(cells, picture, keep_sum):
    framing = Framing((224, 224), mode="squash")
    for i, j in [(1, 1), (1, cells - 2), (cells - 2, cells // 2)]:
        heat = framing.unframe(impulse(cells, i, j), picture, keep_sum=keep_sum)
        centre = (np.array([i, j]) + 0.5) * picture / cells
        assert np.abs(centroid(heat) - centre).max() <= 0.5


def test_heat_between_the_cells_can_be_worked_out_by_hand():
    # Two cells over four pixels: centres at 1 and 3, pixels at .5, 1.5, 2.5, 3.5. Flat outside, a quarter step inside.
    heat = Framing((4, 4), mode="squash").unframe(np.array([[0.0, 1.0], [0.0, 1.0]]), (4, 4))
    assert np.allclose(heat, [[0, 0.25, 0.75, 1]] * 4)


def test_heat_agrees_with_torch_where_nothing_is_cut():
    heat = np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)
    for size in ((224, 224), (301, 97), (5, 4)):  # the last is coarser than the heat, so it is averaged
        laid = Framing((224, 224), mode="squash").unframe(heat, size)
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(heat)[None, None], size, mode="bilinear", align_corners=False, antialias=True
        )
        assert close(laid, expected[0, 0], rounding(16, heat))  # at most 4 cells both ways, and their weights


def test_the_sum_can_be_kept_instead_of_the_height():
    heat = np.random.default_rng(1).normal(size=(14, 14))
    for size in ((300, 300), (90, 200), (9, 6)):
        for framing in (Framing((224, 224)), Framing((224, 224), mode="squash")):
            assert framing.unframe(heat, size, keep_sum=True).sum(dtype=np.float64) == pytest.approx(
                heat.sum(), abs=rounding(16, np.abs(heat).sum())
            )


def test_points_go_to_the_picture_and_back():
    points = np.random.default_rng(2).uniform(-50, 300, (5, 4, 2))
    for framing in FRAMINGS.values():
        assert np.allclose(framing.to_frame(framing.to_picture(points, (300, 417)), (300, 417)), points)


def test_the_box_can_be_worked_out_by_hand():
    # 300 x 400 to 256 x 341; rows 16 to 240 and columns round(58.5) = 58 to 282 are kept.
    box = Framing((224, 224)).box((300, 400))
    assert box == pytest.approx((58 * 400 / 341, 16 * 300 / 256, 282 * 400 / 341, 240 * 300 / 256))
    assert Framing((224, 224), odd="down", resize=255).box((255, 255)) == (15, 15, 239, 239)
    assert Framing((224, 224), resize=255).box((255, 255)) == (16, 16, 240, 240)  # round(15.5) = 16
    assert Framing((224, 224), crop_share=2).box((300, 400))[1::2] == (0, 300)  # black around it


# The extremes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 65_535), (65_535, 2)])
@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_no_shape_is_blown_up(size, framing, monkeypatch):
    asked = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, to, *rest, **how: asked.append(to) or resize(self, to, *rest, **how)
    )
    framed = framing.frame(Picture.read(np.full((*size, 3), 255, np.uint8)))
    assert framed.max() == 1
    assert all(width <= framing.size[1] and height <= framing.size[0] for width, height in asked)
    heat = framing.unframe(np.ones((7, 7)), size)
    assert heat.shape == size
    assert 0 < heat.sum() <= heat.size * 1.0001  # something was seen, and it is shown


def test_a_stripe_is_cut_at_its_centre():
    array = np.zeros((1, 5000, 3), np.uint8)
    array[:, 2499:2501] = 255
    assert Framing((224, 224)).frame(Picture.read(array)).min() == 1
