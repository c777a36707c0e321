"""The text of a definition is exact, whatever comments and decorators stand around it."""

from __future__ import annotations

import pytest

from autograder.submission.definitions import definitions, parse_definitions

MODULE = '''"""A module."""
import torch
from functools import cache

SCALE: float = 0.5  # as in the paper
A = B = (1, 2)


# about f
@cache
@other(
    1,
)
def f(x):
    """Doc."""
    # why
    return x
    # the last word

  # still inside

# about g
class G:
    y: int

    def m(self):
        return """
# not a comment
"""


async def h(): ...
'''


def test_text_is_exact_from_the_first_decorator_to_the_last_indented_comment():
    """A trailing comment belongs to the body although the parser ends the function before it."""
    f = definitions(MODULE)["f"]

    assert f.startswith("@cache\n@other(\n    1,\n)\ndef f(x):\n")
    assert f.endswith("    return x\n    # the last word\n\n  # still inside\n")
    assert f in MODULE


def test_a_comment_in_column_zero_belongs_to_what_follows():
    """The remark above a definition is not part of the one before it."""
    assert "about g" not in "".join(definitions(MODULE).values())
    assert definitions(MODULE)["G"].endswith('# not a comment\n"""\n')


def test_every_kind_of_definition_is_found_in_order():
    """Functions, classes and assignments, several names of one assignment included; imports are not definitions."""
    assert list(definitions(MODULE)) == ["SCALE", "A", "B", "f", "G", "h"]
    assert definitions(MODULE)["B"] == "A = B = (1, 2)\n"


def test_the_last_of_two_definitions_counts():
    """As when Python runs the module."""
    source = "def f(): return 1\ndef f(): return 2\n"

    assert definitions(source) == {"f": "def f(): return 2\n"}
    assert [d.first_line for d in parse_definitions(source)] == [1, 2]


def test_each_definition_of_a_real_module_parses_alone():
    """What is cut out is complete: it compiles by itself."""
    for text in definitions(MODULE).values():
        compile(text, "cut", "exec")


def test_odd_line_ends_do_not_shift_the_cut():
    """Only the parser's own line ends count: not a form feed, not U+2028; CRLF becomes a newline."""
    source = "A = 'x\x0cy\u2028z'\r\n\r\ndef f():\r\n    return 1\r\n"

    assert definitions(source)["f"] == "def f():\n    return 1\n"


def test_source_that_is_not_python_is_refused():
    """The caller knows the file and says so; here it is a SyntaxError with a line."""
    with pytest.raises(SyntaxError) as e:
        definitions("x = 1\ndef f(:\n")
    assert e.value.lineno == 2
