"""The house keeps its own rules: imports point down, rooms stay small, nothing runs at import, nothing says TODO."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "autograder"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A room may import from itself and from rooms of a lower level. The map is explained in autograder/README.md.
LEVELS = {
    "errors": 0,
    "deadlines": 0,
    "numerals": 0,
    "home": 1,
    "course": 1,
    "submission": 2,
    "sandbox": 3,
    "grading": 4,
    "records": 5,
    "capacity": 5,
    "metrics": 6,
    "progress": 6,
    "regrades": 6,
    "transcripts": 6,
    "nbgrader_bridge": 6,
    "authoring": 7,
    "survey": 7,
    "pages": 8,
    "service": 9,
    "commands": 10,
    "bench": 10,
    "cli": 11,
}
# What may be as long as it is, with the reason.
LONG: dict[str, str] = {}
MAX_LINES = 300


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path) -> set[str]:
    """Every module that the file imports, anywhere in it; types-only imports count too."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by the whole name, not relatively"
            found |= {f"{node.module}.{a.name}" for a in node.names} if node.module == "autograder" else {node.module or ""}
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path):
    """A module imports from its own room and from lower levels only."""
    here = room(name_of(path))
    for module in imports(path):
        there = room(module)
        if module.startswith("autograder.") and there != here:
            assert LEVELS[there] < LEVELS[here], f"{name_of(path)} imports {module}: {here} must not know {there}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "sandbox").glob("player*.py")), ids=name_of)
def test_the_player_knows_the_protocol_only(path: Path):
    """Nothing of ours stands beside the student's code but the player and the wire."""
    ours = {m for m in imports(path) if m.startswith("autograder")}
    inside = {m for m in ours if m.startswith(("autograder.sandbox.protocol", "autograder.sandbox.player"))}

    assert ours == inside, f"{name_of(path)} imports {sorted(ours - inside)}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_bridge_imports_nbgrader(path: Path):
    """nbgrader has one importer."""
    found = {m for m in imports(path) if m.split(".")[0] == "nbgrader"}

    assert not found or room(name_of(path)) == "nbgrader_bridge", f"{name_of(path)} imports {found}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is_and_stays_small(path: Path):
    """The first line is a docstring that ends a sentence; no module outgrows its room."""
    doc = ast.get_docstring(tree(path))
    n_lines = len(path.read_text("utf-8").splitlines())

    assert doc, f"{name_of(path)} has no docstring"
    assert doc.splitlines()[0].rstrip().endswith((".", "?")) or "\n\n" not in doc, f"{name_of(path)}: first line is no sentence"
    assert n_lines <= MAX_LINES or name_of(path) in LONG, f"{name_of(path)} has {n_lines} lines: open a second room"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_room_for_odds_and_ends(path: Path):
    """A module is one noun."""
    assert not {"utils", "helpers", "common", "misc", "manager", "util", "helper"} & set(name_of(path).split("."))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_reads_the_world_at_import(path: Path):
    """No file, clock or environment is read while a module is imported."""
    world = {"open", "read_text", "read_bytes", "getenv", "now", "time", "today", "mkdir", "environ"}
    for statement in tree(path).body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.If):
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Lambda):
                break
            called = node.func if isinstance(node, ast.Call) else node if isinstance(node, ast.Attribute) else None
            name = getattr(called, "attr", getattr(called, "id", ""))
            is_read = (isinstance(node, ast.Call) and name in world) or name == "environ"
            assert not is_read, f"{name_of(path)}:{statement.lineno} reads the world at import ({name})"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_functions_are_documented_for_their_callers(path: Path):
    """Every public function and class of a room's modules has a docstring, unless it is two lines that speak for themselves."""
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            length = (node.end_lineno or node.lineno) - node.lineno
            assert ast.get_docstring(node) or length <= 4, f"{name_of(path)}:{node.lineno}: {node.name} has no docstring"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import autograder.cli", ["torch", "nbformat", "jsonschema", "sqlalchemy", "rich", "numpy"]),
        (
            "import autograder.grading.referee, autograder.grading.trunk",
            ["nbformat", "jsonschema", "nbconvert", "nbgrader", "sqlalchemy"],
        ),
        ("import autograder.grading.pool", ["torch", "numpy", "nbformat", "jsonschema", "nbconvert", "nbgrader", "sqlalchemy"]),
        ("import autograder.records", ["torch", "nbformat", "alembic"]),
        ("import autograder.service.app", ["torch", "nbformat", "nbgrader"]),
        ("import autograder.submission.read", ["torch", "numpy", "nbformat"]),
    ],
)
def test_a_command_pays_only_for_what_it_needs(statement: str, absent: list[str]):
    """Heavy packages stay out of the paths that do without them."""
    code = f"{statement}\nimport sys\nprint([m for m in {absent!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def test_no_path_of_a_machine_and_no_leftovers():
    """What is committed names no one's folders, and leaves nothing half-done behind."""
    home = re.compile(r"/(home|Users)/\w+/|/root/\.pyenv|/work/")
    for path in tracked():
        if path.suffix in {".png", ".npz", ".safetensors", ".gz", ".ttf"} or path == Path(__file__):
            continue
        text = path.read_text("utf-8")
        assert not home.search(text), f"{path.relative_to(ROOT)} names a machine's path: {home.search(text)}"
        if path.suffix == ".py":
            assert not re.search(r"#\s*(TODO|FIXME|XXX)\b", text), f"{path.relative_to(ROOT)} has a leftover"
