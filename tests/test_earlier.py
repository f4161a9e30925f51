"""Paths that the README has named go on working, and give the very same things."""

import importlib

import pytest

import explainers as ex
from explainers.earlier import PATHS


@pytest.mark.parametrize("earlier", PATHS)
def test_an_earlier_path_gives_the_module_itself(earlier):
    now = importlib.import_module(f"explainers.{PATHS[earlier]}")
    assert importlib.import_module(f"explainers.{earlier}") is now
    assert getattr(ex, earlier) is now
    assert now.__name__ == now.__spec__.name == f"explainers.{PATHS[earlier]}"


def test_what_lies_below_is_the_same_too():
    from explainers.images.framing import Framing

    from explainers.pictures import Framing as now

    assert Framing is now


def test_a_path_that_never_was_is_not_there():
    with pytest.raises(ModuleNotFoundError, match="imagery"):
        importlib.import_module("explainers.imagery")
