"""Knows that networks of one channel and of many are fed what they were trained on, and that the rest follows."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
import torch
from networks import small as network
from PIL import Image

import explainers as ex
from explainers.augmenting import TRANSFORMS
from explainers.augmenting.pipeline import Pipeline, Step
from explainers.errors import DoesNotApply, ModelError, PictureError, SightglassError
from explainers.pictures import FROM_16_BITS, Framing, Picture
from explainers.trace import Second

SIZE = (24, 32)
BANDS = 7


def classifier(channels, **options):
    framing = Framing(size=SIZE, mode="squash", channels=channels, **options)
    return ex.wrap(network(framing.channel_count), framing=framing)


def values(height=40, width=50, channels=BANDS, seed=0):
    return np.random.default_rng(seed).random((height, width, channels)).astype(np.float32)


def png16(array, significant=None):
    """A gray PNG of 16 bits; with the chunk that says how many of them count."""
    file = BytesIO()
    Image.fromarray(array.astype(np.uint16)).save(file, "PNG")
    data = file.getvalue()
    if significant is None:
        return data
    chunk = b"sBIT" + bytes([significant])
    return data[:33] + struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


# How gray is made ----------------------------------------------------------------------------------------------------


def test_gray_is_the_luminance_of_itu_r_601():
    colors = np.zeros((1, 4, 3), np.uint8)
    colors[0, 0], colors[0, 1], colors[0, 2], colors[0, 3] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)
    framed = Framing(size=(1, 4), mode="squash", channels="gray").frame(Picture.read(colors))
    assert framed.shape == (1, 1, 4)
    assert (framed * 255).flatten().tolist() == [round(0.299 * 255), round(0.587 * 255), round(0.114 * 255), 9]


def test_a_gray_network_is_fed_what_torchvision_feeds_it():
    from torchvision import transforms

    picture = Picture.read(np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    wanted = transforms.Compose(
        [transforms.Grayscale(), transforms.Resize(40), transforms.CenterCrop(32), transforms.ToTensor(),
         transforms.Normalize(0.13, 0.3)]
    )  # fmt: skip
    framing = Framing(size=32, resize=40, channels="gray", mean=0.13, std=0.3)
    assert (framing.normalize(framing.frame(picture)) - wanted(picture.image())).abs().max() <= 1.01 / 255 / 0.3


@pytest.mark.parametrize("source", ["png", "array", "image", "float", "tensor"])
def test_gray_of_16_bits_keeps_its_depth_for_a_gray_network(source):
    deep = np.array([[0, 1, 256, 257], [30000, 30001, 65534, 65535]], np.uint16)
    given = {
        "png": lambda: png16(deep),
        "array": lambda: deep,
        "image": lambda: Image.fromarray(deep),
        "float": lambda: deep / 65535,
        "tensor": lambda: torch.from_numpy(deep.astype(np.float64) / 65535)[None],
    }[source]()
    picture = Picture.read(given)
    framed = Framing(size=(2, 4), mode="squash", channels="gray").frame(picture)
    assert np.abs(framed[0].numpy() * 65535 - deep).max() < 0.01
    colors = Framing(size=(2, 4), mode="squash").frame(picture)
    assert np.array_equal((colors * 255).numpy().round(), np.broadcast_to((deep / 257).round(), (3, 2, 4)))


@pytest.mark.parametrize(
    ("largest", "significant", "white"),
    [(4095, None, 4095), (2000, None, 4095), (1, None, 4095), (4096, None, 65535), (900, 10, 1023), (9000, 14, 16383),
     (60000, 12, 65535), (3000, 16, 4095), (65535, 16, 65535)],
)  # fmt: skip
def test_fewer_bits_in_a_file_of_16_are_read_as_what_they_are_and_that_is_said(largest, significant, white):
    array = np.array([[0, largest]])
    picture = Picture.read(png16(array, significant))
    assert picture.array[0, 1, 0] == round(largest / white * 255)
    assert picture.deep[0, 1, 0] == pytest.approx(largest / white)
    said = [note for note in picture.notes if note != FROM_16_BITS]
    assert len(said) == (white < 65535)
    assert all(f"largest value is {largest}" in note and f"{white} is white" in note for note in said)


def test_a_black_picture_of_16_bits_has_nothing_to_say():
    assert Picture.read(png16(np.zeros((2, 2)))).notes == (FROM_16_BITS,)


@pytest.mark.parametrize("orientation", [3, 6])
def test_deep_pictures_are_turned_as_shallow_ones(orientation):
    image = Image.fromarray(np.arange(6, dtype=np.uint16).reshape(2, 3) * 10000)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = BytesIO()
    image.save(file, "PNG", exif=exif)
    picture = Picture.read(file.getvalue())
    assert np.allclose(picture.deep[..., 0] * 255, picture.array[..., 0], atol=0.51)


def test_what_was_changed_on_the_way_in_has_no_depth_any_more():
    clear = Image.fromarray(np.array([[0, 65535]], np.uint16))
    file = BytesIO()
    clear.save(file, "PNG", transparency=0)
    assert Picture.read(file.getvalue()).deep is None  # the transparent part lies on white


# Bands ---------------------------------------------------------------------------------------------------------------


def test_bands_are_fed_as_they_are_and_three_are_shown():
    array = values()
    framing = Framing(size=(40, 50), mode="squash", channels=BANDS, show=(3, 2, 1))
    picture = Picture.read(array, show=framing.bands)
    assert np.array_equal(framing.frame(picture).numpy(), array.transpose(2, 0, 1))
    shown = array[..., [3, 2, 1]]
    expected = (shown - shown.min()) / (shown.max() - shown.min()) * 255
    assert np.abs(picture.array - expected).max() <= 0.51
    assert "7 bands, 3, 2 and 1" in picture.notes[0]


def test_each_band_is_resized_as_pillow_resizes_floats():
    array = values()
    framed = Framing(size=SIZE, mode="squash", channels=BANDS, resample="bicubic").frame(Picture.read(array))
    for band in range(BANDS):
        alone = Image.fromarray(array[..., band]).resize(SIZE[::-1], Image.Resampling.BICUBIC)
        assert np.array_equal(framed[band].numpy(), np.asarray(alone).clip(0, 1))


@pytest.mark.parametrize(("kind", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_whole_numbers_are_shares_of_the_largest(kind, white):
    array = (values() * white).astype(kind)
    picture = Picture.read(array)
    assert np.abs(picture.deep * white - array).max() < 0.01
    assert any(str(white) in note for note in picture.notes) == (kind is np.uint16)


def test_four_bands_are_no_transparency_for_a_network_of_four():
    array = (values(channels=4) * 255).astype(np.uint8)
    trace = ex.look(classifier(4), array)
    assert trace.pixels.shape == (4, *SIZE)
    assert Picture.read(array).deep is None  # without that network, the fourth is transparency
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    assert torch.equal(ex.look(classifier(4), tensor).pixels, trace.pixels)


def test_two_bands_can_be_shown_too():
    assert classifier(2).framing.show == (0, 1, 1)
    assert ex.explain(ex.look(classifier(2), values(channels=2)), "grad_cam").picture().size == (50, 40)


@pytest.mark.parametrize(
    ("channels", "given", "words"),
    [
        (BANDS, np.zeros((8, 8, 3), np.uint8), "7 channels.* 3;.*x 7"),
        (BANDS, Image.new("RGB", (8, 8)), "7 channels.* 3"),
        (BANDS, values(channels=5), "7 channels.* 5"),
        ("rgb", values(channels=5), "three channels of colors.* 5"),
        ("gray", values(channels=5), "one channel of gray.* 5"),
        (BANDS, values() * 3000, r"\[0, 1\]"),
    ],
)
def test_pictures_with_other_channels_are_refused_in_words(channels, given, words):
    with pytest.raises(PictureError, match=words):
        ex.look(classifier(channels), given)


# What follows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", ["gray", 2, BANDS])
def test_every_method_gives_an_answer_or_says_why_not(channels):
    c = classifier(channels)
    array = values(channels=c.framing.channel_count)
    trace = ex.look(c, array[..., 0] if channels == "gray" else array)
    answered = []
    for method in ex.methods():
        if why := method.why_not(c):
            assert c.name in why
            continue
        given = {"second": array[::-1]} if Second in method.given else {}
        quick = {option.name: option.minimum for option in method.options if option.name in ("steps", "samples")}
        quick = {name: int(value) for name, value in quick.items() if value is not None}
        try:
            answer = ex.explain(trace if ex.Trace in method.given else c, method.id, target=1, **given, **quick)
        except SightglassError:  # for want of a gallery
            continue
        answer.payload()
        answer.picture()
        answered.append(method.id)
    assert {"grad_cam", "deeplift", "integrated_gradients", "occlusion", "lime", "xrai", "filters"} <= {*answered}


def test_sums_hold_over_all_bands():
    c = classifier(BANDS)
    trace = ex.look(c, values())
    there, gray = trace.score(torch.stack([trace.pixels, trace.baseline("gray")]))
    answer = ex.explain(trace, "deeplift")
    assert answer.result.adds_up.parts == pytest.approx(float(there - gray), abs=1e-5)
    assert trace.baseline("gray").unique().tolist() == [0.5]


def test_imagining_says_that_it_works_in_colors():
    for channels in ("gray", BANDS):
        with pytest.raises(DoesNotApply, match=r"gray|bands"):
            ex.explain(classifier(channels), "imagine_class", target=0)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_augmentation_takes_a_gray_picture(name):
    gray = torch.randint(0, 256, (1, 40, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    settings = {each.name: 1.0 for each in TRANSFORMS[name].settings if each.name == "p"}
    for seed in range(3):
        treated, recipe = Pipeline((Step(name, settings),)).sample(gray, seed)
        assert (treated.shape, treated.dtype) == (gray.shape, torch.uint8)
        assert torch.equal(recipe.replay(gray), treated)


# Networks that say how many channels they take -----------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 4, 13])
def test_a_network_of_ones_own_is_seen_to_take_other_channels(channels):
    c = ex.wrap(network(channels))
    assert c.framing.channel_count == channels
    assert "assumed" in c.notes[0]
    assert ("gray" if channels == 1 else f"{channels} channels") in c.notes[0]


def test_a_network_that_takes_something_else_says_what_was_tried():
    with pytest.raises(ModelError, match="32 pixels in gray"):
        ex.wrap(network(3), framing=Framing(size=32, channels="gray"))
    with pytest.raises(ModelError, match="32 pixels and 5 channels"):
        ex.wrap(network(3), framing=Framing(size=32, channels=5))


@pytest.mark.parametrize("channels", [1, 6])
def test_timm_networks_of_other_channels(channels, tmp_path):
    timm = pytest.importorskip("timm")
    module = timm.create_model("test_resnet", in_chans=channels, num_classes=3).eval()
    timm.models._hub.save_for_hf(module, tmp_path, safe_serialization=True)
    assert any("average" in note for note in ex.wrap(module).notes)  # what is saved, timm has averaged already
    for c in (ex.wrap(module), ex.load(str(tmp_path), device="cpu")):
        assert c.framing.channel_count == channels
        assert c.framing.mean == pytest.approx((sum(module.pretrained_cfg["mean"]) / 3,) * channels)
        array = values(channels=channels)
        assert np.isfinite(ex.explain(ex.look(c, array), "grad_cam").heat).all()
