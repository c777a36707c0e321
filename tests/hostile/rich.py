"""A course whose checks use the whole of what a check may ask: what attacks on the checks themselves are graded by."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from pathlib import Path

from autograder.course import MANIFEST, Exercise, Manifest, ManifestCell, load
from autograder.grading.bundle import Bundle, load_bundle

NAME = "x2_rich"
_COURSE = f"""title = "Rich"
[grading]
require_tier = "C"
[[assignment]]
id = "{NAME}"
title = "Rich"
track = "tests"
week = 1
"""
SETUP = "import torch\nfrom torch import nn\n"
REFERENCE = {
    "attack": '''def attack(model, x):
    """Return the model's answer to x + 1 and its gradient there."""
    x = (x + 1).detach().requires_grad_()
    y = model(x)
    y.sum().backward()
    return y.detach(), x.grad
''',
    "rows": '''def rows(n):
    """Yield n rows."""
    for i in range(n):
        yield torch.full((2,), float(i))
''',
    "Net": '''class Net(nn.Module):
    """Multiply by a weight, after a named inner layer."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        return self.inner(x) * 3
''',
    "triple": '''def triple(x):
    """Return 3x."""
    return 3 * x
''',
}
_BLANK = {
    "attack": "def attack(model, x):\n",
    "rows": "def rows(n):\n",
    "Net": "class Net(nn.Module):\n",
    "triple": "def triple(x):\n",
}
HIDDEN = f'''"""Hidden checks of the rich assignment."""
import torch
from autograder.grading.checks import hidden
from autograder.grading.compare import close, gradients, load, normal, pair
from autograder.grading.threat import Threat, images


@hidden("{NAME}.attack", core=True)
def asks_once(student, rng):
    """The model is asked once, where it should be."""
    x = images(rng, 3, 2)
    asked = []
    w = normal(rng, 2)

    def model(query):
        asked.append(query.detach().clone())
        return (query * w) ** 2

    y, g = pair(student.fn("attack")(model, x), "attack")
    assert len(asked) == 1, f"the model was asked {{len(asked)}} times, expected once"
    close(asked[0], x + 1, "the query", rtol=1e-9)
    close(y, ((x + 1) * w) ** 2, "the answer", rtol=1e-9)
    close(g, 2 * (x + 1) * w**2, "the gradient", rtol=1e-9)


@hidden("{NAME}.attack")
def stays_within(student, rng):
    """No query leaves the threat model, and every one is kept."""
    x = images(rng, 3, 2, high=0.1, gap=0.001)
    threat = Threat(lambda q: q.sum(1, keepdim=True), x, eps=1.0, box=(0.0, 2.0), limit=None)
    student.fn("attack")(threat, x)
    assert len(threat.queries) == 1


@hidden("{NAME}.rows", core=True)
def yields(student, rng):
    """There are n rows."""
    n = int(rng.integers(2, 5))
    found = list(student.iter("rows", n))
    assert len(found) == n, f"{{len(found)}} rows, expected {{n}}"
    for i, row in enumerate(found):
        close(row, torch.full((2,), float(i)), "a row", rtol=1e-6)


@hidden("{NAME}.Net", core=True)
def trains(student, rng):
    """Values, gradients, the inner layer and a step are what they should be."""
    net = student.module("Net")
    state = {{"inner.weight": normal(rng, 2, 2, dtype=torch.float32), "inner.bias": normal(rng, 2, dtype=torch.float32)}}
    load(net, state, "Net")
    x = normal(rng, 3, 2, dtype=torch.float32).requires_grad_()
    wanted = torch.nn.functional.linear(x, *state.values())
    out, seen = net.capture(["inner"], x)
    close(out, 3 * wanted, "Net", rtol=1e-5)
    close(seen["inner"], wanted, "inner", rtol=1e-5)
    up = normal(rng, 3, 2, dtype=torch.float32)
    close(gradients(net(x), {{"x": x}}, up, "Net")["x"], 3 * up @ state["inner.weight"], "gradient", rtol=1e-5)
    step = torch.optim.SGD(net.parameters(), lr=0.1)
    (net(x) * up).sum().backward()
    step.step()
    now = dict(net.state_dict())["inner.bias"]
    close(now, state["inner.bias"] - 0.1 * 3 * up.sum(0), "inner.bias after a step", rtol=1e-4)


@hidden("{NAME}.triple", core=True)
def triples(student, rng):
    """Values are tripled."""
    x = normal(rng, 3)
    close(student.fn("triple")(x), 3 * x, "triple", rtol=1e-9)
'''


def _manifest() -> Manifest:
    exercises = tuple(
        Exercise(f"{NAME}.{name}", (name,), name, 4.0, 5, 1, 3, name, f"{head}    raise NotImplementedError()\n", ())
        for name, head in _BLANK.items()
    )
    cells = [ManifestCell("setup", "setup", SETUP)]
    for e in exercises:
        cells.append(ManifestCell("answer", e.cell_id, "", e.id))
        cells.append(ManifestCell("check", f"{e.cell_id}-check", "pass\n", e.id))
    return Manifest(NAME, exercises, tuple(cells))


@functools.cache
def bundle() -> Bundle:
    """Write the course to a folder and return its bundle."""
    root = Path(tempfile.mkdtemp(prefix="rich-course-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    folder, release = root / "assignments" / NAME, root / "release" / NAME
    for d in (folder, release, root / "solutions"):
        d.mkdir(parents=True)
    (root / "assignments" / "course.toml").write_text(_COURSE)
    (folder / "hidden.py").write_text(HIDDEN)
    (root / "solutions" / f"{NAME}.py").write_text(SETUP + "\n" + "\n\n".join(REFERENCE.values()))
    (release / MANIFEST).write_text(json.dumps(_manifest().as_json()))
    return load_bundle(load(root).assignment(NAME))
