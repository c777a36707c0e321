"""The answer, the whole answer and nothing but the answer stands between the markers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from autograder.authoring.splice import BEGIN, END, splice
from autograder.errors import CourseError
from autograder.submission.definitions import parse_definitions

T1 = Path(__file__).parent.parent / "solutions" / "t1_attention.py"


def spliced(source):
    (definition,) = parse_definitions(source)
    return splice(definition, Path("solutions/s.py"))


def public_part(text):
    """What nbgrader leaves: lines outside the regions, and a mark where each region was."""
    out, inside = [], False
    for line in text.split("\n"):
        if BEGIN in line:
            out.append(line.replace(BEGIN, "<stub>"))
            inside = True
        elif END in line:
            inside = False
        elif not inside:
            out.append(line)
    return "\n".join(out)


def test_a_function_keeps_its_signature_and_docstring():
    """Comments belong to the answer, those below the last statement too."""
    found = spliced(
        '@cached\ndef f(\n    x,  # a number\n):\n    """Doc."""\n\n    # why\n    y = x\n    return y\n    # the end\n'
    )

    assert public_part(found.source) == '@cached\ndef f(\n    x,  # a number\n):\n    """Doc."""\n\n    <stub>\n'
    assert found.hidden == ("    # why", "    y = x", "    return y", "    # the end")


def test_without_a_docstring_the_answer_begins_below_the_signature():
    """A comment before the first statement is part of the answer, and the parser does not see it."""
    found = spliced("def f(a=(1,\n    2)) -> int:\n    # secret\n    return 1\n")

    assert public_part(found.source) == "def f(a=(1,\n    2)) -> int:\n    <stub>\n"


CLASS = '''\
class A(Base):
    """Doc."""

    size: int = 3
    _TABLE = [1, 2]

    # how it starts
    def __init__(self, x):
        """Start."""
        super().__init__()
        self.x = x

    # about the private one
    @staticmethod
    def _private():
        return 2
        # still private

    # about y
    @property
    def y(self):
        return self._private()

    def nothing(self):
        """Given."""
        ...

    _LAST = 1
'''

PUBLIC = '''\
class A(Base):
    """Doc."""

    size: int = 3

    # how it starts
    def __init__(self, x):
        """Start."""
        super().__init__()
        <stub>

    # about y
    @property
    def y(self):
        <stub>

    def nothing(self):
        """Given."""
        ...
'''


def test_a_class_keeps_its_public_face_only():
    """Public methods, constants and annotations stay; private ones vanish; super().__init__() stays in sight."""
    found = spliced(CLASS)

    assert public_part(found.source) == PUBLIC
    assert "    # about the private one" in found.hidden
    assert "    _TABLE = [1, 2]" in found.hidden


def test_the_class_with_markers_is_still_the_reference():
    """Whatever moved, the class that instructors see has the same members."""
    before, after = (ast.parse(s).body[0] for s in (CLASS, spliced(CLASS).source))

    assert sorted(ast.dump(n) for n in before.body) == sorted(ast.dump(n) for n in after.body)


def test_every_definition_of_a_real_solution_survives():
    """Markers are comments: T1's reference parses to the same code with them."""
    found = [d for d in parse_definitions(T1.read_text("utf-8")) if d.name != "GPTConfig"]

    assert len(found) >= 10
    for d in found:
        assert ast.dump(ast.parse(splice(d, T1).source)) == ast.dump(ast.parse(d.source)), d.name


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("LIMIT = 3\n", 1, '"LIMIT" is neither a function nor a class: only those can be exercises.'),
        ('def f():\n    """Doc."""\n', 1, '"f" has nothing to solve: expected statements below a docstring.'),
        ("\n\ndef f(): return 1\n", 3, 'the body of "f" must begin on a line of its own.'),
        ("class A:\n    k = 1\n", 1, '"A" has nothing to solve: expected statements below a docstring.'),
        ("class A:\n    _k = 1\n    k = 1\n", 2, '"_k" is private, and no public method has a body that it could be hidden in.'),
        ("class A:\n    if 1:\n        k = 1\n    def m(self):\n        return 1\n", 2,
         "only methods, constants and annotations may stand in the class of an exercise."),
        ("class A:\n    _k = 1\n    k = _k + 1\n    def m(self):\n        return 1\n", 2,
         '"_k" is private and will be hidden in "m", but "k" needs it where it stands, or it needs that. '
         "Define it outside the class, or reorder."),
        ("class A:\n    def m(self):\n        return 1\n    k = _k\n    _k = 1\n", 5,
         '"_k" is private and will be hidden in "m", but "k" needs it where it stands, or it needs that. '
         "Define it outside the class, or reorder."),
        ("class A:\n    def m(self):\n        return 1\n    k = 2\n    _k = k\n", 5,
         '"_k" is private and will be hidden in "m", but "k" needs it where it stands, or it needs that. '
         "Define it outside the class, or reorder."),
    ],
)  # fmt: skip
def test_what_cannot_be_cut_is_refused(source, line, message):
    """File and line of the solution, what was found, what was expected."""
    with pytest.raises(CourseError) as e:
        spliced(source)
    assert str(e.value) == f"solutions/s.py:{line}: {message}"
