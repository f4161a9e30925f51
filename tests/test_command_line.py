"""The command line: an answer on disk, or a sentence on standard error."""

import numpy as np
import pytest
from PIL import Image

from explainers.commands.line import main

NETWORK = "timm:resnet10t?pretrained=false&num_classes=3"


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "dots.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)).save(path)
    return str(path)


def test_explain_saves_numbers_on_the_original_picture(picture, tmp_path, capsys):
    out = tmp_path / "why.npz"
    options = ["--model", NETWORK, "--method", "gradient", "--target", "1", "--option", "channels=sum"]
    assert main(["explain", picture, *options, "--out", str(out)]) == 0
    assert tuple(np.load(out)["size"]) == (60, 90)
    said = capsys.readouterr().out
    assert "random weights" in said
    assert "1 forward, 1 backward" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--method", "no_such"], "There is no method “no_such”"),
        (["--method", "gradient", "--option", "channels=green"], "“channels” of Gradient is one of"),
        (["--method", "gradient", "--target", "7"], "has classes 0 to 2"),
        (["--method", "gradient", "--out", "why.gif"], "saved as .png, .npz or .json"),
    ],
)
def test_a_mistake_is_a_sentence_and_no_traceback(picture, arguments, sentence, capsys):
    assert main(["explain", picture, "--model", NETWORK, *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_methods_and_models_are_listed(capsys):
    assert main(["methods"]) == 0
    assert main(["methods", "--model", NETWORK]) == 0
    assert main(["models"]) == 0
    assert "gradient" in capsys.readouterr().out
