"""Calls that are wrong get a sentence that says what was expected, what came, and the way out; nothing is unchecked."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import explainers as ex
from explainers.errors import ModelError, PictureError, QuestionError, SightglassError
from explainers.galleries.gallery import Gallery
from explainers.galleries.laid_out import measured
from explainers.galleries.layout import FEWEST, caveats
from explainers.galleries.stock import from_arrays
from explainers.pictures import Framing

FRAMING = Framing(size=(32, 32), mode="squash")
PICTURE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    return nn.Sequential(*layers).eval()


MODULE = network()
MODEL = ex.wrap(MODULE, framing=FRAMING)
TRACE = ex.look(MODEL, PICTURE)
ANSWER = ex.explain(TRACE, "grad_cam")


def check(call, error, *words):
    with pytest.raises(error) as refused:
        call()
    sentence = str(refused.value)
    assert isinstance(refused.value, SightglassError)
    assert sentence.endswith(".")
    assert len(sentence) < 1500
    for word in words:
        assert word in sentence


def named(value):
    """A name that is the same in every process: what is asked for, and the type of what is given."""
    return (
        f"{next(iter(value))} {type(next(iter(value.values()))).__name__}"
        if isinstance(value, dict) and value
        else type(value).__name__
    )


@pytest.mark.parametrize("first", [MODULE, PICTURE, None, "pond:cnn", "cat.jpg", TRACE], ids=lambda v: type(v).__name__)
def test_looking_takes_a_classifier_first(first):
    check(lambda: ex.look(first, PICTURE), QuestionError, "asks a classifier, not", "ex.wrap(module)")
    check(lambda: ex.look(first, MODEL), QuestionError, "asks a classifier, not")


@pytest.mark.parametrize("second", [MODEL, None, 3, MODULE, {"a": 1}, TRACE], ids=lambda v: type(v).__name__)
def test_looking_takes_a_picture_second(second):
    check(lambda: ex.look(MODEL, second), PictureError, "cannot be read from")


@pytest.mark.parametrize("about", [MODULE, PICTURE, None, "cat.jpg", ANSWER], ids=lambda v: type(v).__name__)
def test_explaining_is_about_a_trace_or_a_classifier(about):
    check(lambda: ex.explain(about, "grad_cam"), QuestionError, "a trace, or a classifier, not", "ex.look")
    check(lambda: ex.compare(about, ["grad_cam"]), QuestionError, "asks about a trace, not")
    check(lambda: ex.judge(about, ANSWER), QuestionError, "takes a trace first, not")


def test_comparing_and_judging_are_about_a_picture():
    check(lambda: ex.compare(MODEL, ["grad_cam"]), QuestionError, "asks about a trace, not")
    check(lambda: ex.judge(MODEL, ANSWER), QuestionError, "takes a trace first, not")


@pytest.mark.parametrize("answer", [TRACE, PICTURE, "grad_cam", None, [ANSWER]], ids=lambda v: type(v).__name__)
def test_judging_is_of_an_answer(answer):
    check(lambda: ex.judge(TRACE, answer), QuestionError, "takes an answer, not", "ex.explain(trace, method)")


@pytest.mark.parametrize("method", [PICTURE, None, 3, ["grad_cam"], TRACE], ids=lambda v: type(v).__name__)
def test_a_method_is_named_by_a_text_or_is_one(method):
    check(lambda: ex.explain(TRACE, method), QuestionError, "A method is named by a text, not by")
    one = next(each for each in ex.methods() if each.id == "grad_cam")
    assert ex.explain(TRACE, one).method is one
    assert [each.method for each in ex.compare(TRACE, [one])] == [one]


@pytest.mark.parametrize("methods", ["grad_cam", None, 3], ids=str)
def test_several_methods_come_in_a_list(methods):
    check(lambda: ex.compare(TRACE, methods), QuestionError, "several methods in a list")
    assert len(ex.compare(TRACE, (name for name in ("grad_cam", "cam")))) == 2


@pytest.mark.parametrize("model", [MODULE, "pond:cnn", TRACE, PICTURE], ids=lambda v: type(v).__name__)
def test_methods_are_listed_for_a_classifier(model):
    check(lambda: ex.methods(model), QuestionError, "asks about a classifier, not")


class Net(nn.Module):
    """A class is no network yet."""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (MODEL, "classifier already"),
        (MODULE.state_dict(), "load_state_dict"),
        ({"model": MODULE.state_dict()}, "load_state_dict"),
        (lambda pixels: pixels, "forward of a module"),
        (Net, "the class Net; build it first: ex.wrap(Net(…).eval())"),
        ("timm:resnet18", "ex.load opens"),
        (Path("model.pth"), "ex.load opens"),
        (None, "not nothing"),
        (list(MODULE.parameters()), "torch.nn.Module, not a value of type list"),
        (np.zeros(3), "torch.nn.Module"),
        (torch.zeros(3), "torch.nn.Module"),
        (TRACE, "torch.nn.Module"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_wrapping_takes_a_module(given, words):
    check(lambda: ex.wrap(given), ModelError, words)


@pytest.mark.parametrize(
    "options",
    [{"framing": 224}, {"framing": (224, 224)}, {"framing": {"size": 224}}, {"name": 3}, {"notes": "one text"},
     {"notes": {"a"}}, {"random_weights": "no"}, {"labels": 3}, {"labels": "cat"}, {"labels": {"a", "b", "c"}}],
    ids=named,
)  # fmt: skip
def test_wrapping_checks_the_rest(options):
    check(lambda: ex.wrap(MODULE, **{"framing": FRAMING, **options}), SightglassError)


@pytest.mark.parametrize("name", [MODULE, None, 3, "", MODULE.state_dict(), ["pond:cnn"], b"pond:cnn"], ids=named)
def test_loading_takes_a_name(name):
    check(lambda: ex.load(name), ModelError, "named by a short text")


def test_loading_takes_a_folder_as_a_path(tmp_path):
    check(lambda: ex.load(tmp_path / "nothing"), ModelError, "no folder here")
    check(lambda: ex.load(tmp_path), ModelError, "has no config.json")
    check(lambda: ex.load("pond:cnn", local="yes"), QuestionError, "`local` is True or False")


@pytest.mark.parametrize("device", ["nope", "gpu", "", 3.5, ["cpu"], "cpu:x"], ids=str)
def test_what_is_no_device_is_said(device):
    check(lambda: ex.load("pond:cnn", device=device), ModelError, "is no device")


@pytest.mark.parametrize("device", ["cuda:63", "xpu:63", "meta"])
def test_a_device_that_is_not_there_is_said_before_anything_is_loaded(device):
    check(lambda: ex.load("timm:no_such_network", device=device), ModelError, f"“{device}” is not there")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, so that “cuda” is right")
def test_cuda_without_a_driver_is_said():
    check(lambda: ex.load("pond:cnn", device="cuda"), ModelError, "leave `device` out")


@pytest.mark.parametrize("count", ["3", 0, -1, 1.5, 3.0, True, None, [3]], ids=str)
def test_the_top_classes_are_counted_from_one_on(count):
    check(lambda: TRACE.top(count), QuestionError, "`count` is a whole number from 1 on, not")
    assert len(TRACE.top(np.int64(2))) == 2
    assert len(TRACE.top(10**6)) == 3


@pytest.mark.parametrize(
    ("path", "words"),
    [("why.xyz", "not as “.xyz”"), ("why", "not as “”"), ("", "not as “”"), (".", "not as “”"), (3, "under a path"),
     (None, "under a path"), ("no/such/folder/why.png", "cannot be written: No such file"), ("a\0.png", "cannot be"),
     ("folder.npz", "cannot be written: Is a directory"), ("x" * 300 + ".json", "cannot be written")],
    ids=lambda v: repr(v)[:20],
)  # fmt: skip
def test_where_nothing_can_be_saved_is_said(path, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder.npz").mkdir()
    check(lambda: ANSWER.save(path), QuestionError, words)
    with open(os.devnull, "wb") as file:  # noqa: PTH123
        check(lambda: ANSWER.save(file), QuestionError, "under a path")


@pytest.mark.parametrize(
    "options",
    [{"opacity": "x"}, {"opacity": 2}, {"opacity": -0.1}, {"opacity": float("nan")}, {"opacity": None},
     {"opacity": True}, {"scale": "x"}, {"scale": -1}, {"scale": float("nan")}, {"scale": float("inf")},
     {"colors": "nope"}, {"colors": 3}, {"colors": ["ember"]}, {"full": "yes"}, {"full": 1}],
    ids=named,
)  # fmt: skip
def test_drawing_checks_what_it_is_told(options):
    (name,) = options
    check(lambda: ANSWER.picture(**options), QuestionError, f"`{name}` is")
    assert ANSWER.picture(opacity=1, scale=np.float32(2), colors="moss").size == (32, 32)


@pytest.mark.parametrize(
    "options",
    [{"target": 1.5}, {"target": True}, {"target": [1]}, {"target": {}}, {"target": TRACE.top(1)[0]}, {"versus": 1.5},
     {"versus": [0]}, {"score": 3}, {"score": ["logit"]}, {"score": "nope"}, {"stop": True}, {"stop": 1},
     {"working": "x"}, {"gallery": 3}, {"gallery": ["digits"]}, {"gallery": MODEL}, {"second": 3}, {"second": TRACE},
     {"colour": 1}, {"depth": 3}, {"depth": None}],
    ids=named,
)  # fmt: skip
def test_questions_are_checked(options):
    check(lambda: ex.explain(TRACE, "grad_cam", **options), SightglassError)


def test_a_stop_that_cannot_be_asked_is_refused_everywhere():
    check(lambda: ex.compare(TRACE, ["grad_cam"], stop=True), QuestionError, "`stop` is a function")
    check(lambda: ex.judge(TRACE, ANSWER, stop=1), QuestionError, "`stop` is a function")


@pytest.mark.parametrize("where", [3, None, ["digits"], MODEL], ids=lambda v: type(v).__name__)
def test_a_gallery_is_opened_by_name_or_folder(where):
    check(lambda: Gallery.open(where), QuestionError, "by its name or folder")


# Galleries in which there is nothing to see --------------------------------------------------------------------------


def test_two_pictures_with_two_labels_are_too_few_and_that_is_said():
    pictures = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    two = Gallery.of(from_arrays("two", list(pictures), ["a", "b"]), MODEL)
    check(lambda: ex.explain(MODEL, "through_depths", gallery=two), QuestionError, "among 3 pictures at least", "has 2")
    one = Gallery.of(from_arrays("one", list(pictures), ["a", "a"]), MODEL)
    check(lambda: ex.explain(MODEL, "through_depths", gallery=one), QuestionError, "has no two labels")


def test_pictures_that_are_all_the_same_have_nothing_to_measure():
    count = 2 * FEWEST
    same = Gallery.of(from_arrays("same", [PICTURE] * count, ["a", "b"] * FEWEST), MODEL)
    vectors = same.vectors(MODEL).at("pooled")
    found = measured(vectors, np.zeros((count, 2), np.float32), same.labels)
    assert found.figures == ()
    assert found.kept is None
    assert "nothing to measure" in " ".join(caveats(vectors, "tsne", 30))
    answer = ex.explain(TRACE, "picture_map", gallery=same)
    assert answer.result.measures == ()
    assert "All vectors are equal" in answer.result.note
    check(lambda: ex.explain(MODEL, "through_depths", gallery=same), QuestionError, "makes no difference between any")


def test_a_map_with_all_points_at_one_place_has_nothing_to_measure():
    vectors = np.random.default_rng(2).normal(size=(12, 5)).astype(np.float32)
    assert measured(vectors, np.ones((12, 2), np.float32), ("a",) * 12).figures == ()
    assert measured(vectors, vectors[:, :2], ("a",) * 12).figures != ()
