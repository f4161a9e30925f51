"""The command line builds galleries and asks among them."""

import numpy as np
from PIL import Image

from explainers.commands.line import main


def test_a_gallery_is_built_resumed_and_asked(tmp_path, capsys):
    draw = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number in range(5):
        pixels = draw.integers(256, size=(48, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    built = ["gallery", "build", str(tmp_path / "in"), "--model", "digits:cnn", "--out", str(tmp_path / "out")]
    assert main(built) == 0
    told = capsys.readouterr()
    assert "in: 5 pictures, vectors of digits:cnn" in told.out
    assert "Note: 1 left out, since they cannot be read: bad.png" in told.out
    assert "6 of 6" in told.err
    assert main(built) == 0  # all there already
    asked = ["explain", str(tmp_path / "in" / "3.png"), "--model", "digits:cnn", "--method", "nearest"]
    assert main([*asked, "--gallery", str(tmp_path / "out"), "--out", str(tmp_path / "near.png")]) == 0
    with Image.open(tmp_path / "near.png") as image:
        assert image.width > 100


def test_mishaps_are_sentences(tmp_path, capsys):
    assert (
        main(["gallery", "build", str(tmp_path / "none"), "--model", "digits:cnn", "--out", str(tmp_path / "o")]) == 2
    )
    assert capsys.readouterr().err == "There is no folder “none”; give a folder of pictures, or a .zip.\n"
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    asked = ["explain", str(tmp_path / "a.png"), "--model", "digits:cnn", "--method", "nearest"]
    assert main([*asked, "--gallery", str(tmp_path), "--out", str(tmp_path / "x.png")]) == 2
    assert "is no gallery" in capsys.readouterr().err
