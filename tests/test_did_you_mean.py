"""What is nearly a name is told the name; a slip is never taken for what it was not."""

import pytest

import explainers as ex
from explainers import registry
from explainers.errors import QuestionError, spelling
from explainers.network import labels

WAY_OUT = "Search the class list, or give its number."
CLASSES = ("tabby, tabby cat", "Egyptian cat", "golden retriever", "Käfer", "Straße", "crane (3)", "crane (7)", "goose")


@pytest.mark.parametrize(
    ("asked", "number"),
    [("egyptian_cat", 1), ("EGYPTIAN-CAT", 1), (" tabby cat", 0), ("TABBY", 0), ("kafer", 3), ("ka\u0308fer", 3),
     ("STRASSE", 4), ("golden  retriever", 2)],
)  # fmt: skip
def test_case_marks_and_accents_make_no_other_class(asked, number):
    assert labels.find(asked, CLASSES, "net") == number


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("golden retreiver", "“golden retriever”"),
        ("retriever", "“golden retriever”"),
        ("egyptian", "“Egyptian cat”"),
        ("cat", "“tabby, tabby cat” or “Egyptian cat”"),
        ("crane", "“crane (3)” or “crane (7)”"),
        ("gose", "“goose”"),
        ("Kaefer", "“Käfer”"),
    ],
)
def test_a_slip_is_refused_with_what_was_meant(asked, meant):
    with pytest.raises(QuestionError) as refused:
        labels.find(asked, CLASSES, "net")
    assert str(refused.value) == f"net has no single class “{asked}”. Did you mean {meant}? {WAY_OUT}"


def test_what_is_like_nothing_gets_no_proposal():
    for asked in ("unicycle", "", "ø", "x"):
        with pytest.raises(QuestionError, match=f"”. {WAY_OUT}"):
            labels.find(asked, CLASSES, "net")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("gradcam", "grad_cam"),
        ("Grad-CAM", "grad_cam"),
        ("grad-cam", "grad_cam"),
        ("GradCAM++", "grad_cam_plus_plus"),
        ("integrated gradient", "integrated_gradients"),
        ("shap", "kernel_shap"),
        ("rollout", "attention_rollout"),
        ("occlusoin", "occlusion"),
        ("IG", "integrated_gradients"),
        ("SHAP kernel", "kernel_shap"),
        ("guided backprop", "guided_backpropagation"),
    ],
)
def test_methods(asked, meant):
    with pytest.raises(QuestionError, match=f"no method “.*”. Did you mean {meant}") as refused:
        registry.find(asked)
    assert str(refused.value).count(",") < 3, "three proposals at most"


def test_every_method_is_found_from_its_title_without_marks():
    for method in ex.methods():
        for way in (method.title.upper(), method.title.replace(" ", ""), method.id.replace("_", "-").title()):
            if way not in {m.id for m in ex.methods()}:
                with pytest.raises(QuestionError, match=rf"Did you mean .*\b{method.id}\b"):
                    registry.find(way)


@pytest.mark.parametrize(
    ("method", "asked", "meant"),
    [("grad_cam", "depht", "depth"), ("grad_cam", "taget", "target"), ("integrated_gradients", "step", "steps"),
     ("cam", "vs_class", None)],
)  # fmt: skip
def test_options(method, asked, meant):
    with pytest.raises(QuestionError, match=f"has no option “{asked}”") as refused:
        registry.find(method).check({asked: 1})
    assert (f"Did you mean {meant}" in str(refused.value)) == (meant is not None)


def test_proposals_are_few_short_and_in_order():
    assert spelling.nearest("ab", []) == []
    assert spelling.nearest("abcd", ["abce", "abcd x", "zzz", "ab-cd"]) == ["ab-cd"]
    assert spelling.did_you_mean(["a" * 500]) == f" Did you mean {'a' * spelling.LONGEST}…?"
    assert spelling.did_you_mean([]) == ""
    assert len(spelling.nearest("a" * 10_000, [f"{'a' * 70}{i}" for i in range(50)])) <= 3
