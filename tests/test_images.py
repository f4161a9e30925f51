"""Knows what a picture may be, what is done to it on the way in, and how each refusal reads."""

import struct
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from explainers.errors import PictureError
from explainers.pictures import FIRST_FRAME, FROM_16_BITS, ON_WHITE, TO_SRGB, Picture

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)
SECONDS = 0.2  # what a refusal may take


def encoded(image, kind, **how):
    data = BytesIO()
    image.save(data, kind, **how)
    return data.getvalue()


def png(width, height, depth, colour, rows=b"", extra=()):
    """Build a PNG by hand: what Pillow cannot write, and what is larger than it says."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)), *extra]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    framed = (
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body)) for tag, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def pixel(source, row=0, column=0):
    return tuple(int(value) for value in Picture.read(source).array[row, column])


def refusal(source):
    start = time.perf_counter()
    with pytest.raises(PictureError) as caught:
        Picture.read(source)
    assert time.perf_counter() - start < SECONDS
    return str(caught.value)


def two_colours(mode="RGB"):
    """Make a 2 x 4 picture (h x w) whose left half is red and whose right half is green."""
    image = Image.new("RGB", (4, 2), GREEN)
    image.paste(RED, (0, 0, 2, 2))
    return image.convert(mode)


# What comes in ------------------------------------------------------------------------------------------------------


def test_one_picture_is_the_same_from_bytes_path_array_and_image(tmp_path):
    image = two_colours()
    path = tmp_path / "two.png"
    image.save(path)
    sources = [path.read_bytes(), path, str(path), np.asarray(image), image, np.asarray(image) / 255]
    pictures = [Picture.read(source) for source in sources]
    assert {picture.digest for picture in pictures} == {pictures[0].digest}
    assert (pictures[0].width, pictures[0].height, pictures[0].size) == (4, 2, (2, 4))
    assert pictures[0].notes == ()
    assert Picture.read(pictures[0]) is pictures[0]


def test_the_digest_tells_shape_and_pixels_apart():
    flat = np.arange(36, dtype=np.uint8)
    shapes = [flat.reshape(3, 4, 3), flat.reshape(4, 3, 3), flat.reshape(3, 4, 3)[::-1]]
    assert len({Picture.read(array).digest for array in shapes}) == 3


def test_pixels_cannot_be_written_and_do_not_follow_their_source():
    array = np.zeros((2, 2, 3), np.uint8)
    picture = Picture.read(array)
    array[:] = 9
    assert picture.array.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        picture.array[0, 0] = 1
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        picture.array.setflags(write=True)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_one_pixel_is_a_picture(kind):
    assert Picture.read(encoded(Image.new("RGB", (1, 1), WHITE), kind)).size == (1, 1)


def test_a_thumbnail_keeps_proportions_at_least_one_pixel_and_is_never_larger():
    assert Picture.read(np.zeros((100, 200, 3), np.uint8)).thumbnail(50).size == (50, 25)
    assert Picture.read(np.zeros((1, 5000, 3), np.uint8)).thumbnail(50).size == (50, 1)
    assert Picture.read(np.zeros((3, 4, 3), np.uint8)).thumbnail(50).size == (4, 3)


# Modes, depth, transparency, animation -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA", "RGBX", "YCbCr", "HSV"])
def test_every_mode_becomes_rgb(mode):
    assert np.abs(np.subtract(pixel(two_colours(mode)), RED)).max() <= 1


def test_grey_black_and_white_and_ink():
    assert pixel(Image.new("L", (2, 2), 77)) == (77, 77, 77)
    assert pixel(Image.new("1", (2, 2), 1)) == WHITE
    assert pixel(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), "JPEG")) == (0, 0, 0)
    assert pixel(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG")) == WHITE


@pytest.mark.parametrize("value", [0, 128, 257, 1000, 32768, 65535])
def test_16_bits_are_scaled_not_clipped(value):
    values = np.full((2, 2), value, np.uint16)
    values[1, 1] = 65535  # so that no one takes them for 12 bits
    picture = Picture.read(encoded(Image.fromarray(values), "PNG"))
    assert picture.array[0, 0, 0] == round(value * 255 / 65535)
    assert picture.notes == (FROM_16_BITS,)


def test_16_bits_of_colour_are_scaled_too():
    row = b"\0" + struct.pack(">3H", 65535, 32768, 0)
    picture = Picture.read(png(1, 1, 16, 2, row))
    assert tuple(picture.array[0, 0]) == (255, 128, 0)
    assert picture.notes == (FROM_16_BITS,)


def test_one_transparent_colour_of_16_bits():
    rows = b"\0" + struct.pack(">6H", 32768, 0, 0, 0, 65535, 0)
    clear_red = Picture.read(png(2, 1, 16, 2, rows, [(b"tRNS", struct.pack(">3H", 32768, 0, 0))]))
    assert clear_red.array.tolist() == [[[255, 255, 255], [0, 255, 0]]]
    greys = b"\0" + struct.pack(">2H", 0, 32768)
    clear_black = Picture.read(png(2, 1, 16, 0, greys, [(b"tRNS", struct.pack(">H", 0))]))
    assert clear_black.array[0, :, 0].tolist() == [255, 128]
    assert clear_red.notes == clear_black.notes == (FROM_16_BITS, ON_WHITE)


def test_transparency_is_laid_on_white_and_said():
    half = Picture.read(encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 128)), "PNG"))
    assert tuple(half.array[0, 0]) == (255, 127, 127)
    assert half.notes == (ON_WHITE,)
    assert Picture.read(Image.new("RGBA", (2, 2), (255, 0, 0, 255))).notes == ()
    assert pixel(np.array([[[0, 0, 0, 0]]], np.uint8)) == WHITE
    assert pixel(encoded(Image.new("LA", (2, 2), (0, 0)), "PNG")) == WHITE


@pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
def test_a_palette_with_transparency(transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putpixel((1, 0), 1)
    picture = Picture.read(encoded(image, "PNG", transparency=transparency))
    assert picture.array.tolist() == [[list(WHITE), list(GREEN)]]
    assert picture.notes == (ON_WHITE,)


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_an_animation_gives_its_first_frame_and_says_so(kind):
    frames = [Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), GREEN)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    assert pixel(data) == RED
    assert Picture.read(data).notes == (FIRST_FRAME,)


def test_a_jpeg_with_a_second_picture_behind_the_first_is_no_animation():
    data = encoded(Image.new("RGB", (8, 8), RED), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert Picture.read(data).notes == Picture.read(Image.open(BytesIO(data))).notes == ()


# Orientation --------------------------------------------------------------------------------------------------------

# Where the corner of row 0 and column 0 belongs, and whether the sides swap. Source: Exif 2.32, section 4.6.4.
ORIENTATIONS = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "tl", 6: "tr", 7: "br", 8: "bl"}


def red_corner(orientation):
    """Store 16 x 24 pixels (h x w), white, with a red corner at row 0 and column 0."""
    image = Image.new("RGB", (24, 16), WHITE)
    image.paste(RED, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return image, exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("orientation", "corner"), ORIENTATIONS.items())
def test_orientation_puts_the_corner_where_it_belongs(orientation, corner, kind):
    image, exif = red_corner(orientation)
    picture = Picture.read(encoded(image, kind, exif=exif, quality=95))
    assert picture.size == ((24, 16) if orientation >= 5 else (16, 24))
    rows, columns = np.nonzero(picture.array[..., 1] < 100)
    vertical, horizontal = rows.mean() < picture.height / 2, columns.mean() < picture.width / 2
    assert ("t" if vertical else "b") + ("l" if horizontal else "r") == corner


def test_orientation_is_applied_once_whoever_opened_the_file():
    image, exif = red_corner(6)
    data = encoded(image, "PNG", exif=exif)
    opened = Image.open(BytesIO(data))
    turned = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    digests = {Picture.read(source).digest for source in (data, opened, opened.convert("RGB"), turned)}
    assert len(digests) == 1


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",  # the directory lies beyond the end
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",  # 65,535 entries, none there
        b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x63\0\0\0\0\0\0",  # orientation 99
        b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\2\0\1\0\0\0\6\0\0\0\0\0\0\0",  # orientation as a text
        b"Exif\0\0rubbish, rubbish",
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_is_passed_over(exif, kind):
    image, _ = red_corner(1)
    assert Picture.read(encoded(image, kind, exif=exif)).size == (16, 24)


# Colour profiles ----------------------------------------------------------------------------------------------------


def swapped_profile():
    """Turn Pillow's sRGB profile into one whose red is green and whose green is red."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = data.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    return data.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


def ink_profile():
    """Build a profile of four inks in which paper is white, black ink is black and every other ink is red."""
    white, black, red = bytes([255, 128, 128]), bytes([0, 128, 128]), bytes([135, 208, 195])  # L, a, b: (53, 80, 67)
    mixtures = b"".join(white if mix == 0 else black if mix & 1 else red for mix in range(2**4))  # black ink is bit 0
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    table += ramp * 4 + mixtures + ramp * 3
    head = struct.pack(">I4sI4s4s4s12x4s", 144 + len(table), bytes(4), 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp")
    head += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)  # D50, the space's white
    return head + bytes(128 - len(head)) + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table


def test_an_embedded_profile_is_brought_to_srgb():
    picture = Picture.read(encoded(Image.new("RGB", (4, 4), RED), "PNG", icc_profile=swapped_profile()))
    assert np.abs(np.subtract(picture.array[0, 0].astype(int), GREEN)).max() <= 2
    assert picture.notes == (TO_SRGB,)


def test_inks_go_through_their_profile():
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    red, green, blue = pixel(encoded(cyan, "JPEG", icc_profile=ink_profile()))
    assert red > 240
    assert max(green, blue) < 40
    assert pixel(encoded(cyan, "JPEG"))[0] < 40
    assert pixel(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG", icc_profile=ink_profile())) == WHITE


def test_srgb_itself_and_profiles_that_do_not_fit_or_are_broken_change_nothing():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, ink_profile(), b"rubbish", swapped_profile()[:200]):
        picture = Picture.read(encoded(two_colours(), "PNG", icc_profile=profile))
        assert tuple(picture.array[0, 0]) == RED
        assert picture.notes == ()


# Refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (encoded(two_colours(), "GIF"), "a GIF"),
        (encoded(two_colours(), "TIFF"), "a TIFF"),
        (encoded(two_colours(), "BMP"), "a BMP"),
        (encoded(two_colours(), "ICO"), "an icon"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC photograph"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF"),
        ("Liebe Grüße".encode(), "a text"),
        (bytes(range(256)), "no picture that Sightglass knows"),
    ],
)
def test_other_formats_are_named_and_the_way_out_is_told(data, kind):
    assert refusal(data) == f"This file is {kind}; Sightglass reads JPEG, PNG and WebP. Save it as PNG and try again."


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_cut_short_is_refused(kind, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    assert "damaged or cut short" in refusal(data[: int(len(data) * share)])


def test_an_empty_file_is_called_empty():
    assert refusal(b"") == "This file is empty; save the picture again as JPEG, PNG or WebP."


def test_a_path_is_named_without_its_folder(tmp_path):
    (tmp_path / "notes.png").write_text("not a picture")
    assert refusal(tmp_path / "notes.png").startswith('"notes.png" is a text;')
    assert refusal(tmp_path / "gone.png") == 'There is no file "gone.png"; check its path and try again.'
    assert '" is not a file; ' in refusal(tmp_path)
    for path in (tmp_path / "notes.png", tmp_path / "gone.png", tmp_path, f"{tmp_path}/null\0.png"):
        assert str(tmp_path.parent) not in refusal(path)


def test_devices_and_addresses_are_not_read():
    assert "is not a file" in refusal("/dev/zero")
    assert "fetches nothing" in refusal("https://example.org/cat.png")
    assert "fetches nothing" in refusal("data:image/png;base64,AAAA")


def test_too_many_bytes_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(50_000_001)
    assert refusal(path).startswith('"large.png" has 50.0 MB; at most 50 MB are read.')
    assert refusal(bytes(51_000_000)).startswith("This file has 51.0 MB;")


def vp8x(width, height):
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + sides


def vp8l(width, height):
    return b"RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little") + bytes(5)


def vp8(width, height):
    return b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)


def jpeg(width, height):
    data = encoded(Image.new("RGB", (8, 8)), "JPEG")
    at = data.index(b"\xff\xc0") + 5  # the frame header: marker, length, precision, then height and width
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


@pytest.mark.parametrize("build", [lambda w, h: png(w, h, 8, 2), jpeg, vp8x, vp8l, vp8])
def test_60_megapixels_are_refused_before_anything_is_decoded(build):
    # None of these files holds pixels: were one decoded first, it would be called damaged.
    filters, bound = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    sentence = "This file has 10000 x 6000 = 60.0 megapixels; at most 52 are read. Scale it down and try again."
    assert refusal(build(10_000, 6_000)) == sentence
    assert "268.4 megapixels" in refusal(build(16_383, 16_383))  # where Pillow itself would warn or raise
    assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS) == (filters, bound)


def test_the_pixel_limit_holds_for_arrays_and_images_and_lies_at_52_megapixels():
    assert "52.0 megapixels" in refusal(np.broadcast_to(np.uint8(0), (1, 52_000_001, 3)))
    assert "60.0 megapixels" in refusal(Image.open(BytesIO(png(10_000, 6_000, 8, 2))))
    assert "damaged" in refusal(png(8_000, 5_000, 8, 2))  # within the limit, but there is nothing to decode
    assert "a side has at most 65535" in refusal(png(1, 70_000, 8, 2))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 3, 4, 3), np.uint8), "2 x 3 x 4 x 3"),
        (np.zeros((3, 20, 30), np.uint8), "transpose(1, 2, 0)"),
        (np.zeros(5, np.uint8), "height x width"),
        (np.array(0, np.uint8), "no axes"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.full((2, 2), np.nan), "not numbers"),
        (np.full((2, 2), np.inf), "not numbers"),
        (np.full((2, 2), 200.0), "[0, 1]"),
        (np.full((2, 2), -0.5), "[0, 1]"),
        (np.zeros((2, 2), np.int64), "int64"),
        (np.zeros((2, 2), np.int16), "int16"),
        (np.zeros((2, 2), bool), "bool"),
        (np.full((2, 2), "x", object), "object"),
        (np.zeros((2, 2), complex), "complex"),
    ],
)
def test_arrays_that_are_no_picture_are_refused_in_words(array, words):
    assert words in refusal(array)


def test_arrays_that_are_a_picture():
    assert pixel(np.full((2, 3), 7, np.uint8)) == pixel(np.full((2, 3, 1), 7, np.uint8)) == (7, 7, 7)
    assert pixel(np.full((2, 3, 3), 0.5, np.float16)) == (128, 128, 128)
    assert pixel(np.full((2, 3, 3), 1 + 1e-7, np.float32)) == WHITE  # a rounding error is not a mistake
    assert pixel(np.zeros((4, 4, 4), np.uint8)[:, ::2]) == WHITE


def test_images_of_other_formats_or_without_a_range_are_refused():
    assert "opened from a GIF file" in refusal(Image.open(BytesIO(encoded(two_colours(), "GIF"))))
    assert "mode F" in refusal(Image.new("F", (2, 2)))
    assert "mode I" in refusal(Image.new("I", (2, 2)))
    closed = Image.open(BytesIO(encoded(two_colours(), "PNG")))
    closed.close()
    assert "closed" in refusal(closed)


@pytest.mark.parametrize("source", [None, 3, ["a.png"]])
def test_what_is_no_source_at_all(source):
    assert type(source).__name__ in refusal(source)


def test_twenty_people_read_at_once():
    data = [encoded(Image.new("RGB", (64, 64), (shade, 0, 0)), "PNG") for shade in range(20)]
    with ThreadPoolExecutor(8) as pool:
        assert [shade for shade, _, _ in pool.map(pixel, data)] == list(range(20))
