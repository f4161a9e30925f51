"""Knows that a network is fed what its own library feeds it, or that it is said where that cannot be."""

import json

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from torch import nn

import explainers as ex
from explainers.errors import ModelError
from explainers.network import configured
from explainers.pictures import Framing, Picture

transformers = pytest.importorskip("transformers")

STEP = 1 / 255 + 1e-6  # one gray level, and what two float32 normalizations differ by
RARE = 1e-4
"""Share of the pixels of noise that may be off by two levels: Pillow, which takes the cut as float32, and torch, whose
weights have fewer bits, turn a rounding at .5 in each of the two passes."""


def noise(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)


PICTURES = [noise(301, 399), noise(398, 300), smooth(253, 641), smooth(90, 70)]

PROCESSORS = {
    "squash": ("ViTImageProcessor", {"size": {"height": 96, "width": 80}}),
    "squash, no deviation": ("ViTImageProcessor", {"do_normalize": False}),
    "squash, nothing scaled": ("ViTImageProcessor", {"do_rescale": False, "do_normalize": False}),
    "squash, another factor": ("ViTImageProcessor", {"rescale_factor": 1 / 128}),
    "squash, normalized as it is": ("ViTImageProcessor", {"do_rescale": False, "image_mean": [120, 110, 100]}),
    "squash by lanczos": ("ViTImageProcessor", {"resample": 1}),
    "squash, box": ("ViTImageProcessor", {"resample": 4}),
    "squash, hamming": ("ViTImageProcessor", {"resample": 5}),
    "crop": ("CLIPImageProcessor", {}),
    "crop, bilinear": ("CLIPImageProcessor", {"resample": 2, "size": {"shortest_edge": 100}, "crop_size": 90}),
    "crop, padded": ("CLIPImageProcessor", {"size": {"shortest_edge": 60}, "crop_size": 96}),
    "crop, oblong": ("CLIPImageProcessor", {"crop_size": {"height": 90, "width": 120}}),
    "crop, nothing scaled": ("CLIPImageProcessor", {"do_resize": False, "crop_size": 64}),
    "crop, nothing scaled, odd": ("CLIPImageProcessor", {"do_resize": False, "crop_size": {"height": 61, "width": 70}}),
    "squash, then crop": ("DeiTImageProcessor", {}),
    "squash, then crop oblong": ("DeiTImageProcessor", {"size": {"height": 120, "width": 100}, "crop_size": 81}),
    "bit": ("BitImageProcessor", {}),
    "beit": ("BeitImageProcessor", {}),
    "beit, cropped": ("BeitImageProcessor", {"do_center_crop": True, "crop_size": 200}),
    "siglip": ("SiglipImageProcessor", {}),
    "convnext, squash": ("ConvNextImageProcessor", {}),
    "convnext, crop": ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}}),
    "convnext, another share": ("ConvNextImageProcessor", {"size": {"shortest_edge": 256}, "crop_pct": 0.95}),
    "poolformer": ("PoolFormerImageProcessor", {}),
    "poolformer, another crop": ("PoolFormerImageProcessor", {"crop_size": {"height": 192, "width": 160}}),
    "poolformer, both sides": ("PoolFormerImageProcessor", {"size": {"height": 224, "width": 200}}),
    "poolformer, a square": ("PoolFormerImageProcessor", {"size": {"height": 192, "width": 192}, "crop_size": 192}),
    "levit": ("LevitImageProcessor", {}),
    "levit, another size": ("LevitImageProcessor", {"size": {"shortest_edge": 160}, "crop_size": 152}),
    "mobilevit": ("MobileViTImageProcessor", {}),
    "mobilevit, unflipped": ("MobileViTImageProcessor", {"do_flip_channel_order": False}),
    "efficientnet": ("EfficientNetImageProcessor", {}),
    "efficientnet, offset": ("EfficientNetImageProcessor", {"rescale_factor": 1 / 127.5, "rescale_offset": True}),
    "efficientnet, cropped": ("EfficientNetImageProcessor", {"do_center_crop": True, "include_top": False}),
    "mobilenet": ("MobileNetV1ImageProcessor", {}),
    "mobilenet 2": ("MobileNetV2ImageProcessor", {"size": {"shortest_edge": 144}, "crop_size": 128}),
    "perceiver": ("PerceiverImageProcessor", {}),
    "perceiver, another share": ("PerceiverImageProcessor", {"size": {"height": 100, "width": 120}, "crop_size": 128}),
    "perceiver, uncut": ("PerceiverImageProcessor", {"do_center_crop": False}),
    "dpt": ("DPTImageProcessor", {}),
    "dpt, multiples": ("DPTImageProcessor", {"size": {"height": 100, "width": 75}, "ensure_multiple_of": 32}),
    "pvt": ("PvtImageProcessor", {}),
    "segformer": ("SegformerImageProcessor", {"size": {"height": 128, "width": 96}}),
    "textnet's crop alone": ("TextNetImageProcessor", {"do_resize": False, "do_center_crop": True}),
    "pp-lcnet": ("PPLCNetImageProcessor", {}),
}


BICUBIC_FOR_LANCZOS = tuple(map(int, torchvision.__version__.split(".")[:2])) < (0, 27)
"""Whether transformers' fast processors take one filter for another, with a warning, since torchvision lacks it."""

ELSEWISE = {
    ("squash, box", "fast"),  # torch has no such filters: transformers fails there
    ("squash, hamming", "fast"),
    *([("squash by lanczos", "fast")] if BICUBIC_FOR_LANCZOS else []),
    ("crop, padded", "slow"),  # puts an odd pixel of padding on the other side; AutoImageProcessor gives the fast one
}


@pytest.mark.parametrize("form", ["fast", "slow"])
@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_is_followed_to_one_gray_level(name, form):
    kind, options = PROCESSORS[name]
    maker = getattr(transformers, kind + ("" if form == "fast" else "Pil"), None)
    if maker is None or (name, form) in ELSEWISE:
        return  # it exists in one form only
    processor = maker(**options)
    framing = Framing.from_transformers(processor.to_dict())
    for array in PICTURES:
        fed = processor(Image.fromarray(array), return_tensors="pt")["pixel_values"][0]
        own = framing.frame(Picture.read(array))
        assert own.shape == fed.shape
        off = (own - framing.denormalize(fed.float())).abs()
        assert off.max() <= 2 * STEP
        assert (off > STEP).float().mean() <= RARE
    assert framing.note == ""


# Sizes that vary from picture to picture ---------------------------------------------------------------------------

VARYING = {
    "shorter side": ({"size": {"shortest_edge": 64}, "do_center_crop": False}, (64, 64)),
    "both ends": ({"size": {"shortest_edge": 48, "longest_edge": 96}}, (48, 48)),
    "fitted in": ({"size": {"max_height": 60, "max_width": 80}}, (60, 80)),
    "padded": ({"size": {"max_height": 60, "max_width": 80}, "do_pad": True, "pad_size": 96}, (96, 96)),
    "multiples": ({"size": {"shortest_edge": 70}, "size_divisor": 32}, (96, 96)),
    "proportions": (
        {"size": {"height": 70, "width": 90}, "keep_aspect_ratio": True, "ensure_multiple_of": 32},
        (64, 96),
    ),
}


@pytest.mark.parametrize("name", VARYING)
def test_where_the_size_varies_the_whole_picture_is_seen_and_that_is_said(name):
    config, size = VARYING[name]
    framing = Framing.from_transformers(config | {"do_normalize": False})
    assert framing.size == size
    assert framing.box((100, 300)) == (0, 0, 300, 100)
    assert f"{size[0]} × {size[1]}" in framing.note


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"size": 224, "do_color_quantize": True}, "do_color_quantize"),
        ({"size": 224, "do_thumbnail": True}, "do_thumbnail"),
        ({"size": 224, "do_align_long_axis": True}, "do_align_long_axis"),
        ({"size": 224, "do_image_splitting": True}, "do_image_splitting"),
        ({"do_resize": False}, "do_resize"),
        ({"size": {"longest_edge": 800}}, "longest_edge"),
        ({"size": {"shortest_edge": 64, "longest_edge": 90}, "do_center_crop": True, "crop_size": 64}, "longest_edge"),
        ({"size": {"shortest_edge": 64}, "size_divisor": 32, "do_center_crop": True, "crop_size": 64}, "size_divisor"),
        ({"size": [64, 64], "keep_aspect_ratio": True, "do_center_crop": True, "crop_size": 9}, "keep_aspect_ratio"),
        ({"size": 64, "do_pad": True, "pad_size": 96}, "pad_size"),
        ({"size": 70, "do_pad": True, "size_divisor": 32}, "do_pad"),
        ({"max_num_patches": 256, "patch_size": 16, "size": 224}, "max_num_patches"),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.9, "do_center_crop": True, "crop_size": 200}, "crop_size"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_named(config, named):
    with pytest.raises(ModelError, match=rf"{named}.*framing"):
        Framing.from_transformers(config | {"do_normalize": False})


def test_imagegpt_and_siglip_2_are_refused_by_name():
    for kind in ("ImageGPTImageProcessor", "Siglip2ImageProcessor"):
        config = getattr(transformers, kind)().to_dict()
        with pytest.raises(ModelError, match=r"do_color_quantize|max_num_patches"):
            Framing.from_transformers(config)


# Framings as people write them ---------------------------------------------------------------------------------------


def test_numbers_and_lists_are_taken_as_json_gives_them():
    plain = Framing(size=(224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), resize=(256, 256), mode="squash")
    listed = json.loads(json.dumps({"size": [224.0, 224], "mean": [0.5] * 3, "std": 0.5, "resize": [256, 256]}))
    assert Framing(**listed, mode="squash") == plain
    assert Framing(size=224, mean=0.5, std=[0.5], resize=np.int64(256), mode="squash").resize == 256
    assert Framing(size=np.array([224, 192])).size == (224, 192)
    assert hash(Framing(size=[224, 224])) == hash(Framing(size=(224, 224)))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"size": (224.5, 224)}, "size.*whole number.*224.5"),
        ({"size": (1, 2, 3)}, "size"),
        ({"size": "224"}, "size.*224"),
        ({"size": None}, "size"),
        ({"size": {"height": 8, "width": 8}}, "size"),
        ({"size": {224}}, "size"),
        ({"size": (True, 8)}, "size"),
        ({"std": (1, 1)}, "std.*3 channels.*2"),
        ({"mean": (1, 1, 1, 1)}, "mean"),
        ({"mean": float("nan")}, "mean"),
        ({"mean": "imagenet"}, "mean.*imagenet"),
        ({"std": 0}, "std.*above zero"),
        ({"std": (1, -1, 1)}, "std"),
        ({"channels": "grey"}, "rgb, bgr, gray.*grey"),
        ({"channels": 0}, "channels"),
        ({"channels": 2.5}, "channels"),
        ({"channels": None}, "channels"),
        ({"channels": 5, "show": (0, 1, 5)}, "show"),
        ({"channels": 5, "show": (0, 1)}, "show"),
        ({"crop_share": "0.9"}, "crop_share"),
        ({"crop_share": 0}, "crop_share"),
        ({"odd": "up"}, "odd.*even, down"),
        ({"mode": ["crop"]}, "mode"),
        ({"resize": 0}, "resize"),
        ({"resize": (8, float("inf"))}, "resize"),
    ],
)
def test_a_framing_that_is_none_says_which_part_is_wrong(wrong, words):
    with pytest.raises(ModelError, match=words):
        Framing(**{"size": 8} | wrong)


# Geometry of the modes that do not scale first -----------------------------------------------------------------------


def test_the_middle_is_cut_out_as_it_is():
    array = noise(200, 300)
    framing = Framing(size=64, mode="cut", odd="down")
    assert framing.box((200, 300)) == (118, 68, 182, 132)
    assert torch.equal(framing.frame(Picture.read(array)), torch.tensor(array[68:132, 118:182]).permute(2, 0, 1) / 255)
    heat = framing.unframe(np.ones((4, 4)), (200, 300))
    assert heat[68:132, 118:182].min() == 1
    assert heat.sum() == 64 * 64
    small = Framing(size=(64, 64), mode="cut")  # 40 × 50 pixels lie in the middle of black
    framed = small.frame(Picture.read(noise(40, 50)))
    assert torch.equal(framed[:, 12:52, 7:57], torch.tensor(noise(40, 50)).permute(2, 0, 1) / 255)
    assert framed.count_nonzero() == framed[:, 12:52, 7:57].count_nonzero()


def test_what_is_cut_before_it_is_scaled_does_not_see_beyond_the_cut():
    array = np.zeros((100, 160, 3), np.uint8)
    array[:, :36] = array[:, 124:] = 255  # white up to the very cut, which is 87 × 87 around the middle
    framing = Framing(size=20, mode="zoom", resize=(23, 23), odd="down")
    assert framing.box((100, 160)) == (37, 7, 123, 93)
    assert framing.frame(Picture.read(array)).max() == 0
    assert Framing(size=20, resize=23, odd="down").frame(Picture.read(array)).max() > 0
    points = np.random.default_rng(0).uniform(-5, 30, (7, 2))
    assert np.allclose(framing.to_frame(framing.to_picture(points, (100, 160)), (100, 160)), points)


# What a module says of itself ----------------------------------------------------------------------------------------


class Headed(nn.Module):
    """A backbone with a head of one's own, as people fine-tune."""

    def __init__(self, body, features, classes, pick=lambda x: x):
        super().__init__()
        self.body, self.head, self.pick = body, nn.Linear(features, classes), pick

    def forward(self, x):
        return self.head(self.pick(self.body(x)))


def tiny_vit(**options):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.ViTConfig(**{"image_size": 96, "patch_size": 16, **sizes, **options})
    return transformers.ViTForImageClassification(config).eval()


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("test_vit", {}, (160, 160)),
        ("mobilevitv2_050", {}, (256, 256)),  # mean 0, deviation 1
        ("tf_efficientnet_b1", {}, (240, 240)),
        ("vit_tiny_patch16_384", {"depth": 1}, (384, 384)),
        ("vit_tiny_patch16_224", {"depth": 1, "img_size": (64, 96)}, (64, 96)),  # what it was built for, not its name
        ("maxvit_rmlp_pico_rw_256", {}, (256, 256)),
        ("efficientvit_b1.r288_in1k", {}, (288, 288)),
    ],
)
def test_a_timm_module_is_framed_as_timm_frames_it(name, options, size):
    module = timm.create_model(name, num_classes=7, **options).eval()
    framing = configured.read(module).framing
    assert framing.size == size
    transform = timm.data.create_transform(**timm.data.resolve_data_config(model=module) | {"input_size": (3, *size)})
    picture = Picture.read(smooth(300, 401))
    assert (framing.normalize(framing.frame(picture)) - transform(picture.image())).abs().max() <= 2 * STEP / min(
        framing.std
    )


def test_a_wrapped_module_is_read_through_what_people_put_around_it():
    body = timm.create_model("test_vit", num_classes=0)
    model = ex.wrap(Headed(body, body.num_features, 4).eval())
    assert (model.framing.size, model.framing.mean, model.labels[0]) == ((160, 160), (0.5, 0.5, 0.5), "class 0")
    assert "part “body”" in model.notes[0]
    given = Framing(size=64, mode="squash")
    assert (
        ex.wrap(Headed(body, body.num_features, 4).eval(), framing=given, labels="abcd"[:0] or list("abcd")).framing
        is given
    )


def test_two_parts_that_want_different_pictures_say_nothing_together():
    class Two(nn.Module):
        def __init__(self, *names):
            super().__init__()
            self.parts = nn.ModuleList(timm.create_model(name, num_classes=3) for name in names)

    assert configured.read(Two("test_vit", "test_vit2")).framing.size == (160, 160)
    assert "assumed" in configured.read(Two("test_vit", "resnet10t")).notes[0]


def test_labels_and_size_are_those_of_the_configuration():
    module = tiny_vit(id2label={0: "cat", 1: "dog"})
    model = ex.wrap(Headed(module, 2, 2, lambda out: out.logits).eval())
    assert (model.framing.size, model.labels) == ((96, 96), ("cat", "dog"))
    assert ex.wrap(Headed(tiny_vit(), 2, 5, lambda out: out.logits).eval()).labels[4] == "class 4"
    given = ex.wrap(Headed(module, 2, 2, lambda out: out.logits).eval(), labels=["x", "y"])
    assert given.labels == ("x", "y")


def test_a_model_knows_where_its_processor_lies(tmp_path):
    tiny_vit().save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 96, "width": 96}, image_mean=[0.1, 0.2, 0.3]).save_pretrained(
        tmp_path
    )
    module = transformers.ViTForImageClassification.from_pretrained(tmp_path).eval()
    said = configured.read(module)
    assert said.framing.mean == pytest.approx((0.1, 0.2, 0.3))
    assert said.framing == ex.load(str(tmp_path), device="cpu").framing
    assert configured.NO_PROCESSOR not in said.notes


def test_nothing_said_is_assumed_aloud():
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    assert "assumed" in " ".join(ex.wrap(plain).notes)
    assert ex.wrap(plain, framing=Framing(size=32)).notes == ()


class Twisting(transformers.ViTImageProcessor):
    """A processor that does more than its configuration tells."""

    def rescale_and_normalize(self, images, *arguments):
        return super().rescale_and_normalize(images, *arguments).flip(-1)


def test_a_processor_that_does_something_else_is_noticed():
    honest = transformers.ViTImageProcessor(size={"height": 64, "width": 64})
    framing = Framing.from_transformers(honest.to_dict())
    assert configured._compared(honest, framing, ()) == (framing, ())
    with pytest.raises(ModelError, match=r"Twisting.*framing"):
        configured._compared(Twisting(size={"height": 64, "width": 64}), framing, ())


def test_a_timm_network_that_transformers_wraps_is_fed_as_its_processor_feeds_it(tmp_path):
    kept = {"input_size": (3, 128, 128), "mean": (0.3, 0.4, 0.5), "std": (0.2, 0.3, 0.4), "crop_pct": 0.9,
            "interpolation": "bilinear", "crop_mode": "squash"}  # fmt: skip
    config = transformers.TimmWrapperConfig(
        architecture="resnet10t", id2label={0: "x", 1: "y"}, label2id={"x": 0, "y": 1}, pretrained_cfg=kept
    )
    transformers.TimmWrapperForImageClassification(config).save_pretrained(tmp_path)
    model = ex.load(str(tmp_path), device="cpu")
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    for array in PICTURES:
        fed = processor(Image.fromarray(array), return_tensors="pt")["pixel_values"][0]
        assert (model.framing.frame(Picture.read(array)) - model.framing.denormalize(fed)).abs().max() <= 2 * STEP
    assert model.labels == ("x", "y")


def test_perceiver_whose_pictures_are_called_inputs(tmp_path):
    config = transformers.PerceiverConfig(
        num_latents=4, d_latents=16, d_model=32, num_blocks=1, num_self_attends_per_block=1, image_size=32,
        num_self_attention_heads=2, num_cross_attention_heads=1, num_labels=3,
    )  # fmt: skip
    module = transformers.PerceiverForImageClassificationConvProcessing(config)
    module.save_pretrained(tmp_path)
    transformers.PerceiverImageProcessor(size={"height": 32, "width": 32}, crop_size=40).save_pretrained(tmp_path)
    model = ex.load(str(tmp_path), device="cpu")
    picture = Picture.read(smooth(60, 80))
    trace = ex.look(model, picture)
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    with torch.no_grad():
        logits = model.module.inside(inputs=processor(picture.image(), return_tensors="pt")["pixel_values"]).logits[0]
    assert torch.allclose(trace.logits, logits, atol=2 / 255)


@pytest.mark.parametrize("array", [noise(60, 80), noise(80, 60)[..., :1].repeat(3, axis=2)], ids=["colors", "gray"])
def test_a_gray_network_of_transformers_is_fed_as_its_processor_feeds_gray_pictures(array, tmp_path):
    tiny_vit(num_channels=1).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 96, "width": 96}, image_mean=[0.4], image_std=[0.3]).save_pretrained(
        tmp_path
    )
    model = ex.load(str(tmp_path), device="cpu")
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    fed = processor(Image.fromarray(array).convert("L"), return_tensors="pt")["pixel_values"][0]
    own = model.framing.frame(Picture.read(array))
    assert own.shape == fed.shape == (1, 96, 96)
    assert (own - model.framing.denormalize(fed)).abs().max() <= STEP


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"feature_extractor_type": "PerceiverFeatureExtractor", "size": 224, "crop_size": 256, "do_center_crop": True},
         ("PerceiverImageProcessor", {})),
        ({"feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.875},
         ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}})),
        ({"feature_extractor_type": "ConvNextFeatureExtractor", "size": 384, "crop_pct": 0.875},
         ("ConvNextImageProcessor", {})),
        ({"feature_extractor_type": "LevitFeatureExtractor", "size": 224, "crop_size": 224, "do_center_crop": True},
         ("LevitImageProcessor", {})),
        ({"feature_extractor_type": "ViTFeatureExtractor", "size": 224}, ("ViTImageProcessor", {})),
    ],
)  # fmt: skip
def test_files_of_older_versions_are_read_as_what_they_meant(old, new):
    name, options = new
    given = getattr(transformers, name)(**options).to_dict()
    shared = {key: given[key] for key in ("image_mean", "image_std", "resample")}
    assert Framing.from_transformers(old | shared) == Framing.from_transformers(given)


def test_a_switch_that_the_processor_does_not_read_is_no_obstacle(tmp_path):
    tiny_vit().save_pretrained(tmp_path)
    processor = transformers.ViTImageProcessor(size={"height": 96, "width": 96})
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor.to_dict() | {"do_of_old": True}))
    assert ex.load(str(tmp_path), device="cpu").framing.size == (96, 96)
    with pytest.raises(ModelError, match="do_of_old"):
        Framing.from_transformers(processor.to_dict() | {"do_of_old": True})
