"""One box serves one nbgrader run: it is opened once, and closed with the run or when the next one begins."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from pathlib import Path

import pytest

from autograder.home import Home
from autograder.nbgrader_bridge.preprocessors import _Desk

HOME = Home(Path(), Path(), "")
EVENTS: list[str] = []


@contextmanager
def open_counted(home):
    name = f"door {EVENTS.count('open')}"
    EVENTS.append("open")
    try:
        yield name
    finally:
        EVENTS.append(f"close {name}")


@contextmanager
def open_nothing(home):
    raise OSError("no box here")
    yield


class Run:
    """Stands for nbgrader's converter: something that lives as long as its run."""


def door(desk, run, factory="open_counted"):
    return desk.door(run, f"{__name__}.{factory}", HOME)


def test_a_run_keeps_its_door_and_the_next_run_gets_another(monkeypatch):
    """A rebuilt check is read anew at the next click; nobody's box is left over."""
    monkeypatch.setattr(f"{__name__}.EVENTS", [])
    desk, first, second = _Desk(), Run(), Run()

    assert door(desk, first) == door(desk, first) == "door 0"
    assert door(desk, second) == "door 1"
    assert EVENTS == ["open", "close door 0", "open"]
    del first
    gc.collect()
    assert EVENTS == ["open", "close door 0", "open"]
    del second
    gc.collect()
    assert EVENTS == ["open", "close door 0", "open", "close door 1"]


def test_a_door_that_does_not_open_is_tried_again(monkeypatch):
    """After a failure nobody is given a door that was closed for it."""
    monkeypatch.setattr(f"{__name__}.EVENTS", [])
    desk, first, second = _Desk(), Run(), Run()
    door(desk, first)
    for _ in range(2):
        with pytest.raises(OSError, match="no box here"):
            door(desk, second, "open_nothing")
    assert door(desk, first) == "door 1"
    assert EVENTS == ["open", "close door 0", "open"]
