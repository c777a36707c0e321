"""A line of a secret is found wherever a reader of the released files would see it."""

from __future__ import annotations

import json

from autograder.authoring.leak import Leak, leaks

SECRET = "    return softmax(scores) @ values"
LINE = SECRET.strip()


def test_a_line_is_found_in_plain_text_and_behind_escapes():
    """A notebook's JSON splits and escapes what a student reads as one text."""
    quoted = '    return table["the answer"], 1'
    notebook = json.dumps({"cells": [{"source": ["x = 1\n", quoted + "  # so\n"]}, {"outputs": [{"text": LINE}]}]}).encode()
    found = leaks({"n.ipynb": notebook, "checks.py": f"# as in\n#{LINE}".encode()}, {"s.py": [SECRET, quoted]}, "")

    assert set(found) == {
        Leak("n.ipynb", LINE, "s.py"),
        Leak("n.ipynb", quoted.strip(), "s.py"),
        Leak("checks.py", LINE, "s.py"),
    }


def test_public_and_short_lines_are_no_secret():
    """What is published on purpose, imports, and a line such as `return x` say nothing."""
    released = {"checks.py": f"{LINE}\nreturn x".encode()}

    assert leaks(released, {"s.py": [SECRET]}, f"a given line: {LINE}") == []
    assert leaks({"checks.py": b"from torch import Tensor, nn"}, {"s.py": ["from torch import Tensor"]}, "") == []
    assert leaks(released, {"s.py": ["return x"]}, "") == []


def test_bytes_that_are_no_text_do_not_stop_the_search():
    """Weights lie beside notebooks."""
    assert [x.file for x in leaks({"w.bin": b"\xff\xfe\n" + LINE.encode()}, {"s.py": [SECRET]}, "")] == ["w.bin"]
