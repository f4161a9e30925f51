"""Whatever is sent, from the page or through the API, the answer is a sentence, soon, and the server goes on."""

import io
import json
import struct
import time
import urllib.request
import zlib
from pathlib import Path

import numpy as np
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from explainers.ui.answering import answers, asked
from explainers.ui.answering.work import streamed
from explainers.ui.catalogue import Catalogue
from explainers.ui.shelf import Shelf
from tests.serving import QUIET, served

pytestmark = QUIET

SOON = 20  # seconds; on a quiet machine it is a fraction of one


def _saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _noise(mode="RGB", size=(40, 30)):
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), np.uint8)
    return Image.fromarray(pixels.squeeze(), mode) if mode != "CMYK" else Image.merge(mode, [_noise("L", size)] * 4)


def _bomb():
    """A PNG of a few dozen bytes that claims four gigapixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 65_000, 65_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


PNG = _saved(_noise(), "PNG")
REFUSED = {
    "nothing": (b"", "empty|no bytes"),
    "text": (b"just some words that are no picture", "JPEG, PNG and WebP"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "JPEG, PNG and WebP"),
    "gif": (_saved(_noise("L"), "GIF"), "JPEG, PNG and WebP"),
    "cut": (PNG[: len(PNG) // 2], "damaged|cut|decoded"),
    "60 megapixels": (_saved(Image.new("1", (10_000, 6_000)), "PNG"), "megapixels; at most 52"),
    "bomb": (_bomb(), "megapixels; at most 52"),
}
FRAMES = [_noise(), Image.new("RGB", (40, 30))]
READ = {
    "animated webp": (_saved(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), (40, 30)),
    "apng": (_saved(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), (40, 30)),
    "16 bits": (_saved(Image.fromarray(np.full((30, 40), 40_000, np.uint16)), "PNG"), (40, 30)),
    "palette": (_saved(_noise().quantize(8), "PNG"), (40, 30)),
    "cmyk": (_saved(_noise("CMYK"), "JPEG"), (40, 30)),
    "alpha": (_saved(_noise("RGBA"), "PNG"), (40, 30)),
    "one pixel": (_saved(Image.new("RGB", (1, 1), "red"), "PNG"), (1, 1)),
    "a line": (_saved(Image.new("RGB", (1, 5_000), "red"), "PNG"), (1, 5_000)),
}


@pytest.fixture(scope="module")
def url():
    with served() as url:
        yield url


@pytest.fixture(scope="module")
def client(url):
    return Client(url, verbose=False)


@pytest.fixture(scope="module")
def shelf():
    return Shelf(Catalogue())


@pytest.fixture(autouse=True)
def soon():
    began = time.perf_counter()
    yield
    assert time.perf_counter() - began < SOON


def _sentence(error):
    text = str(error.value)
    assert text.endswith(".")
    for leak in ("Traceback", "/tmp", "site-packages", 'File "', "Error("):
        assert leak not in text
    return text


def _from_page(shelf, **question):
    """The last thing that the page is told, as it asks."""
    shelf.network("pond:cnn")
    *_, last = streamed({"token": "t", "strip": False, **question}, shelf, answers.answered)
    return last


def _uploaded(data):
    folder = Path(get_upload_folder()) / "test-bad-input"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "picture").write_bytes(data)
    return str(folder / "picture")


@pytest.mark.parametrize("kind", REFUSED)
def test_the_api_refuses(client, tmp_path, kind):
    data, words = REFUSED[kind]
    (tmp_path / "picture.png").write_bytes(data)
    with pytest.raises(AppError, match=words) as error:
        client.predict(picture=handle_file(tmp_path / "picture.png"), api_name="/grad_cam")
    _sentence(error)


@pytest.mark.parametrize("kind", READ)
def test_the_api_reads(client, tmp_path, kind):
    data, size = READ[kind]
    (tmp_path / "picture.png").write_bytes(data)
    overlay, _, _ = client.predict(picture=handle_file(tmp_path / "picture.png"), api_name="/grad_cam")
    with Image.open(overlay) as image:
        assert image.size == size


@pytest.mark.parametrize("kind", REFUSED)
def test_the_page_refuses(shelf, kind):
    data, words = REFUSED[kind]
    told = _from_page(shelf, upload=_uploaded(data))
    assert told["state"] == "error"
    with pytest.raises(ValueError, match=words):
        raise ValueError(told["sentence"])


@pytest.mark.parametrize("kind", READ)
def test_the_page_reads(shelf, kind):
    data, (width, height) = READ[kind]
    told = _from_page(shelf, upload=_uploaded(data))
    assert told["state"] == "done"
    assert (told["picture"]["width"], told["picture"]["height"]) == (width, height)
    assert len(told["panes"]) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "no picture to explain"),
        ({"picture": 5}, "sent as a file"),
        ({"picture": "https://example.org/cat.png"}, "sent as a file"),
        ({"picture": {"path": "https://example.org/cat.png", "meta": {"_type": "gradio.FileData"}}}, "no addresses"),
        ({"scene": "sea:1"}, "is no picture of a built-in world"),
        ({"scene": 7}, "short text"),
        ({"scene": "test:1", "depth": "abyss"}, "one of early, middle, late or last, not “abyss”"),
        ({"scene": "test:1", "depth": ["last"]}, "one of early"),
        ({"scene": "test:1", "depth": "layer4.1"}, "one of early"),
        ({"scene": "test:1", "signed": "no"}, "true or false, not “no”"),
        ({"scene": "test:1", "signed": 1}, "true or false"),
        ({"scene": "test:1", "score": "vibes"}, "The score is one of"),
        ({"scene": "test:1", "target": "unicorn"}, "no single class “unicorn”"),
        ({"scene": "test:1", "target": 9}, "classes 0 to 8; 9 is not"),
        ({"scene": "test:1", "target": [1]}, "by its label or its number"),
        ({"scene": "test:1", "target": 1, "versus": 1}, "rather than itself"),
        ({"scene": "test:1", "model": "pond:whale"}, "“pond” has no network “whale”"),
        ({"scene": "test:1", "model": "ftp:thing"}, "not a place that networks come from"),
        ({"scene": "test:1", "model": "/etc"}, "public name"),
        ({"scene": "test:1", "model": "../../secret"}, "public name"),
        ({"scene": "test:1", "model": 5}, "named by a short text"),
        ({"scene": "test:1", "model": "x" * 5000}, "named by a short text"),
    ],
)
def test_the_api_names_what_is_wrong(client, given, words):
    with pytest.raises(AppError, match=words) as error:
        client.predict(**given, api_name="/grad_cam")
    _sentence(error)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scene": "sea:1"}, "is no picture of a built-in world"),
        ({"upload": "/etc/hostname"}, "not uploaded here"),
        ({"upload": "https://example.org/cat.png"}, "not uploaded here"),
        ({"upload": "a\0b"}, "not uploaded here"),
        ({"picture": "0" * 64}, "left the memory"),
        ({"method": "grad_ham"}, "no method “grad_ham”"),
        ({"options": {"depth": "abyss"}, "method": "grad_cam"}, "one of early"),
        ({"options": {"colour": 1}, "method": "grad_cam"}, "has no option “colour”"),
        ({"options": [1]}, "named values"),
        ({"target": "unicorn"}, "no single class"),
        ({"target": float("nan")}, "by its label or its number"),
        ({"score": "vibes"}, "The score is one of"),
        ({"beside": {"moon": 1}}, "differs in one of"),
        ({"model": {"a": 1}}, "short text"),
        ({"scene": ["test:1"]}, "short text"),
    ],
)
def test_the_page_names_what_is_wrong(shelf, given, words):
    told = _from_page(shelf, **given)
    sentence = told.get("sentence") or told["refusal"]["sentence"]
    assert words in sentence
    assert sentence.endswith(".")


def test_a_network_that_is_not_there_is_told_when_it_is_opened(shelf):
    *_, last = streamed({"network": "pond:whale", "token": "t"}, shelf, answers.opened)
    assert last["state"] == "error"
    assert "whale" in last["sentence"]


def test_what_nobody_foresaw_is_told_in_general_words(shelf, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("inner text with /a/path")

    monkeypatch.setattr(asked, "find_picture", broken)
    told = _from_page(shelf)
    assert told["state"] == "error"
    assert "path" not in told["sentence"]
    assert "inner text" in caplog.text  # for whoever runs the server


def test_numbers_beyond_all_bounds_over_http(url):
    """Python's JSON reads 1e999 as infinity, which no client would send by itself."""
    body = b'{"data": [null, "test:1", "pond:cnn", 1e999, null, "centered_logit", "last", false, false]}'
    request = urllib.request.Request(
        f"{url}gradio_api/call/grad_cam", body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{url}gradio_api/call/grad_cam/{event}") as answer:
        text = answer.read().decode()
    assert "event: error" in text
    assert "by its label or its number" in text


def test_a_file_of_the_server_is_out_of_reach(url):
    given = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [given, None, "pond:cnn", None, None, "centered_logit", "last", False, False]}).encode()
    request = urllib.request.Request(
        f"{url}gradio_api/call/grad_cam", body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{url}gradio_api/call/grad_cam/{event}") as answer:
        text = answer.read().decode()
    assert "event: error" in text
    assert "Traceback" not in text


def test_the_server_goes_on(client):
    assert client.predict(scene="test:1", api_name="/predict")[0]["label"] == "Pyronella globifera"
