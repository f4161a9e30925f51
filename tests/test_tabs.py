"""A tab is one file: how it is found, and how its work is streamed, fails in words, and ends."""

import time

import pytest

from explainers.augmenting import PRESETS
from explainers.errors import DoesNotApply, QuestionError
from explainers.imagining import RECIPES
from explainers.scores.scorecard import REACHES
from explainers.ui import parts, scripts
from explainers.ui.answering import work
from explainers.ui.answering.work import streamed
from explainers.ui.catalogue import Catalogue
from explainers.ui.shelf import Shelf
from explainers.ui.tabs import all_tabs, augment, inside
from explainers.ui.tabs import map as map_tab
from tests.serving import QUIET

pytestmark = QUIET


@pytest.fixture(scope="module")
def shelf():
    return Shelf(Catalogue())


def test_every_tab_has_its_words_its_place_and_its_files():
    tabs = all_tabs()
    assert len({tab.id for tab in tabs}) == len({tab.title for tab in tabs}) == len(tabs)
    assert [tab.order for tab in tabs] == sorted(tab.order for tab in tabs)
    for tab in tabs:
        assert tab.title
        assert tab.line
        for ending in ("html", "js", "css"):
            assert parts.read(f"tabs/{tab.id}/{tab.id}.{ending}").strip()


def test_what_python_says_is_typed_in_no_script():
    typed = "".join(path.read_text("utf-8") for path in scripts.HERE.glob("**/*.js"))
    said = [*REACHES.values(), *(recipe.line for recipe in RECIPES.values()), *inside.REDRAWN.values()]
    said += [*augment.PRESET_WORDS.values(), *map_tab.WAY_WORDS.values()]
    assert augment.PRESET_WORDS.keys() == PRESETS.keys()
    assert not [words for words in said if f'"{words}"' in typed]


def test_what_gradio_sends_of_a_part_is_data():
    """A listener among it is copied for every visitor, which fails once there is an event loop, and fills the log."""
    for part in [parts.Panel(tab, {}) for tab in all_tabs()] + [parts.Errand("gather"), parts.Wire()]:
        assert not [name for name, value in part.get_config().items() if callable(value)]


def test_work_tells_what_there_is_and_then_all(shelf):
    def count(given, shelf, stop, tell):
        tell({"so_far": 1})
        time.sleep(1)
        return {"all": given["to"]}

    told = list(streamed({"token": "a", "to": 3}, shelf, count))
    assert all(message["token"] == "a" for message in told)
    assert any(message.get("so_far") == 1 and message["state"] == "working" for message in told[:-1])
    assert told[-1].items() >= {"token": "a", "state": "done", "so_far": 1, "all": 3}.items()


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (QuestionError("Name a class."), "error", "Name a class."),
        (DoesNotApply("It has no attention."), "does not apply", "It has no attention."),
        (ZeroDivisionError("secret path"), "unexpected", "Something went wrong"),
    ],
)
def test_a_mishap_is_a_sentence(shelf, error, kind, words):
    def fail(*_):
        raise error

    *_, last = streamed({}, shelf, fail)
    assert (last["state"], last["kind"]) == ("error", kind)
    assert last["sentence"].startswith(words)
    assert "secret" not in str(last)


def test_work_ends_when_it_is_stopped_and_when_nobody_listens(shelf):
    ended = []

    def endless(given, shelf, stop, tell):
        while not stop():
            time.sleep(0.01)
        ended.append(given["token"])
        return {"kept": True}

    messages = streamed({"token": "one"}, shelf, endless)
    next(messages)
    work.stop("one")
    assert list(messages)[-1]["kept"]
    left = streamed({"token": "two"}, shelf, endless)
    next(left)
    left.close()
    deadline = time.monotonic() + 5
    while "two" not in ended and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ended == ["one", "two"]


def test_what_no_browser_sends_is_taken_calmly(shelf):
    for given in (None, [], "x", {"token": 7}):
        assert list(streamed(given, shelf, lambda given, *_: {"given": given}))[-1]["state"] == "done"
