"""Labels are taken from whatever keeps them, in the order of the outputs, or refused in words; never shuffled."""

import enum
import io
import json
from collections import OrderedDict, defaultdict
from types import MappingProxyType

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch import nn

import explainers as ex
from explainers.commands.line import main
from explainers.errors import ModelError, QuestionError
from explainers.network import labels
from explainers.pictures import Framing

NAMES = ("cat", "dog", "owl")
FRAMING = Framing(size=(32, 32), mode="squash")


class Counted(enum.Enum):
    dog = 1
    cat = 0
    owl = 2


class Auto(enum.Enum):  # `auto` begins with 1
    cat = enum.auto()
    dog = enum.auto()
    owl = enum.auto()


class Named(enum.StrEnum):
    FIRST = "cat"
    SECOND = "dog"
    THIRD = "owl"


class Number(enum.IntEnum):
    cat = 0
    dog = 1
    owl = 2


class Series:
    """What there is of a pandas Series that tells it from an array: an index of its own."""

    ndim = 1

    def __init__(self, values, index=None):
        self.values, self.index = list(values), list(range(len(values)) if index is None else index)

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def items(self):
        return zip(self.index, self.values, strict=True)

    def tolist(self):
        return self.values

    def to_dict(self):
        return dict(self.items())


class Arrow:
    def to_pylist(self):
        return list(NAMES)


SAME = {
    "list": list(NAMES),
    "tuple": NAMES,
    "array": np.array(NAMES),
    "array of objects": np.array(NAMES, dtype=object),
    "array of bytes": np.array(NAMES, dtype="S3"),
    "arrow": Arrow(),
    "generator": (name for name in NAMES),
    "file": io.StringIO("cat\ndog\nowl\n"),
    "values": dict(enumerate(NAMES)).values(),
    "keys of class_to_idx": {name: i for i, name in enumerate(NAMES)}.keys(),
    "by number": {2: "owl", 0: "cat", 1: "dog"},
    "by numpy number": {np.int64(i): np.str_(name) for i, name in enumerate(NAMES)},
    "by number as text": {"1": "dog", "0": "cat", "2": "owl"},
    "by whole float": {0.0: "cat", 1.0: "dog", 2.0: "owl"},
    "class_to_idx": {"owl": 2, "cat": 0, "dog": 1},
    "label2id as text": {"owl": "2", "cat": "0", "dog": "1"},
    "read only": MappingProxyType(dict(enumerate(NAMES))),
    "ordered": OrderedDict(reversed(list(enumerate(NAMES)))),
    "default": defaultdict(str, enumerate(NAMES)),
    "series": Series(NAMES),
    "series by index": Series(["owl", "cat", "dog"], [2, 0, 1]),
    "series from label to number": Series([2, 0, 1], ["owl", "cat", "dog"]),
    "enumeration": Counted,
    "enumeration of texts": Named,
    "enumeration of whole numbers": Number,
    "members": [Counted.__members__[name] for name in NAMES],
    "texts in members": list(Named),
}


@pytest.mark.parametrize("kind", SAME)
def test_every_way_to_keep_labels_gives_the_same(kind):
    assert labels.read(SAME[kind], 3, "net") == (NAMES, ())


FROM_ONE = [
    dict(enumerate(NAMES, 1)),
    {str(i): name for i, name in enumerate(NAMES, 1)},
    {name: i for i, name in enumerate(NAMES, 1)},
    Series(NAMES, [1, 2, 3]),
    Auto,
]


@pytest.mark.parametrize("given", FROM_ONE, ids=["by number", "by text", "to number", "series", "enumeration"])
def test_what_counts_from_one_is_taken_and_said(given):
    assert labels.read(given, 3, "net") == (NAMES, (labels.FROM_ONE,))


def test_numbers_as_labels_become_text():
    assert labels.read([1, 2, 10], 3, "net")[0] == ("1", "2", "10")
    assert labels.read(torch.tensor([1, 2, 10]), 3, "net")[0] == ("1", "2", "10")
    assert labels.read({0: 1, 1: 2, 2: 10}, 3, "net")[0] == ("1", "2", "10")
    assert labels.read([False, True], 2, "net")[0] == ("False", "True")


def test_folders_named_by_numbers_keep_the_order_they_were_trained_in():
    """torchvision sorts folders as texts: 0, 1, 10, 2. Here the texts are the labels, and the numbers the order."""
    assert labels.read({"0": 0, "1": 1, "10": 2, "2": 3}, 4, "net")[0] == ("0", "1", "10", "2")
    assert labels.read({"1": 0, "0": 1}, 2, "net")[0] == ("1", "0")


REFUSED = {
    "a set": (set(NAMES), "A set has no order"),
    "a frozen set": (frozenset(NAMES), "A set has no order"),
    "an empty set": (set(), "A set has no order"),
    "a text": ("cat", "are one text"),
    "a text as an array": (np.array("cat"), "are one text"),
    "bytes": (b"cat", "are one text"),
    "a number": (3, "are given as int"),
    "rows": (np.array([NAMES]), "are given as list"),
    "too few": (["cat", "dog"], "has 3 outputs, but 2 labels were given"),
    "too many": ([*NAMES, "elk"], "has 3 outputs, but 4 labels were given"),
    "a long generator": ((str(i) for i in range(10**9)), "but more labels were given"),
    "a generator that has ended": (iter(()), "but no labels were given"),
    "a gap": ({0: "cat", 2: "owl", 3: "elk"}, "not for class 1"),
    "from two on": ({2: "cat", 3: "dog", 4: "owl"}, "not for class 0"),
    "a background left out": ({1: "cat", 2: "dog"}, "has 3 outputs, but 2 labels were given"),
    "two labels of one number": ({"cat": 0, "dog": 1, "owl": 1}, "not for class 2"),
    "more than there are": ({0: "cat", 1: "dog", 2: "owl", 7: "elk"}, "more than once or beyond its outputs"),
    "by words": ({"a": "cat", "b": "dog", "c": "owl"}, "their order is not known"),
    "by part of a table": (Series(NAMES, [0, 2, 2]), "not for class 1"),
    "nothing among them": (["cat", None, "owl"], "label of class 1 is empty"),
    "a blank": (["cat", "dog", " "], "label of class 2 is empty"),
    "not a number": (["cat", float("nan"), "owl"], "label of class 1 is empty"),
    "lists": ([["n01", "cat"], ["n02", "dog"], ["n03", "owl"]], "label of class 0 is list"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_refused_in_words(kind):
    given, sentence = REFUSED[kind]
    with pytest.raises(ModelError, match=sentence):
        labels.read(given, 3, "net")


def test_an_empty_sequence_says_that_there_are_no_classes():
    assert labels.read([], 3, "net") == ((), ())
    assert labels.read(np.array([], dtype=str), 3, "net") == ((), ())


def test_labels_that_are_alike_are_told_apart_by_their_numbers():
    assert labels.read(["crane", "cat", "crane"], 3, "net")[0] == ("crane (0)", "cat", "crane (2)")
    tricky = labels.read(["crane", "crane", "crane (0)"], 3, "net")[0]
    assert len(set(tricky)) == 3
    assert labels.read(tricky, 3, "net")[0] == tricky, "what is told apart stays as it is"


# A class from whatever names it -------------------------------------------------------------------------------------


def test_a_text_that_is_a_label_is_that_even_where_it_is_a_number_too():
    sorted_as_texts = ("0", "1", "10", "2")
    assert labels.find("2", sorted_as_texts, "net") == 3
    assert labels.find(2, sorted_as_texts, "net") == 2
    assert labels.find("3", sorted_as_texts, "net") == 3, "a number that is no label is the class of that number"


@pytest.mark.parametrize("asked", ["99", 99, np.int64(99), "-1", -1, torch.tensor(5), "9" * 5000, 10**30])
def test_a_number_out_of_range_is_told_the_range_as_text_too(asked):
    with pytest.raises(QuestionError, match="net has classes 0 to 2"):
        labels.find(asked, NAMES, "net")


@pytest.mark.parametrize(
    "asked", [True, np.bool_(True), torch.tensor(True), 1.5, 1.0, [1], None, {"cat"}, np.array([1.0]), torch.ones(2)]
)
def test_what_names_no_class_is_refused_in_words(asked):
    with pytest.raises(QuestionError, match="A class is a label or a number, not"):
        labels.find(asked, NAMES, "net")


# Where they are used ------------------------------------------------------------------------------------------------


def network(classes=3):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)]
    return nn.Sequential(*layers).eval()


def test_wrap_takes_and_tells():
    model = ex.wrap(network(), labels={"1": "cat", "2": "dog", "3": "owl"}, framing=FRAMING)
    assert model.labels == NAMES
    assert model.notes == (labels.FROM_ONE,)
    with pytest.raises(ModelError, match="A set has no order"):
        ex.wrap(network(), labels=set(NAMES), framing=FRAMING)


TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def saved(folder, named):
    torch.manual_seed(0)
    config = transformers.ViTConfig(**TINY, image_size=32, patch_size=16, num_labels=3)
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"id2label": named}))
    return str(folder)


def test_a_checkpoint_that_counts_from_one_keeps_its_labels(tmp_path):
    model = ex.load(saved(tmp_path, {"1": "cat", "2": "dog", "3": "owl"}), device="cpu")
    assert model.labels == NAMES
    assert labels.FROM_ONE in model.notes


def test_a_checkpoint_whose_labels_have_no_order_says_so(tmp_path):
    model = ex.load(saved(tmp_path, {"0": "cat", "5": "dog", "9": "owl"}), device="cpu")
    assert model.labels == labels.numbers(3)
    assert any("those of the checkpoint do not fit" in note and "not for class 1" in note for note in model.notes)


def test_the_command_line_reads_a_class_as_python_does(tmp_path):
    model = saved(tmp_path, {"0": "1", "1": "0", "2": "2"})
    picture = tmp_path / "dots.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(picture)
    out = tmp_path / "why.json"
    asked = ["explain", str(picture), "--model", model, "--method", "gradient", "--target", "0", "--versus", "1"]
    assert main([*asked, "--out", str(out)]) == 0
    told = json.loads(out.read_text("utf-8"))
    assert (told["target"]["index"], told["versus"]["index"]) == (1, 0)
    trace = ex.look(ex.load(model, device="cpu"), str(picture))
    answer = ex.explain(trace, "gradient", target="0", versus="1")
    assert (answer.prediction.index, answer.versus.index) == (1, 0)
