"""What a definition mentions: evidence for a person, found without executing anything."""

from __future__ import annotations

import pytest

from autograder.submission.mentions import definition, mentions

IMPORTS = "import torch\nimport numpy as np\nfrom torch import nn\nfrom torch.nn import functional as F\n"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(x): return F.softmax(x, -1)", "torch.nn.functional.softmax"),
        ("def f(x): return torch.nn.functional.softmax(x, -1)", "torch.nn.functional.softmax"),
        ("def f(x): return x.softmax(-1)", ".softmax"),
        ("def f(x): return (x + 1).softmax(-1)", ".softmax"),
        ("def f(x): return g(x)\ndef g(x): return nn.Softmax(-1)(x)", "torch.nn.Softmax"),
        (
            "class f(nn.Module):\n    def __init__(self):\n        self.a = nn.MultiheadAttention(2, 2)",
            "torch.nn.MultiheadAttention",
        ),
        ("soft = torch.softmax\ndef f(x): return soft(x, -1)", "torch.softmax"),
        ("def f(x):\n    from torch import softmax as s\n    return s(x, -1)", "torch.softmax"),
        ("def f(x):\n    import torch.nn.functional as G\n    return G.softmax(x, -1)", "torch.nn.functional.softmax"),
        ("from torch import *\ndef f(x): return softmax(x, -1)", "torch.softmax"),
        ("@torch.compile\ndef f(x): return x", "torch.compile"),
        ("def f(x=np.exp): return x", "numpy.exp"),
        ("%%time\ndef f(x): return [torch.exp(v) for v in x]", "torch.exp"),
    ],
)
def test_a_mention_is_found_under_its_whole_name(source, found):
    """Aliases, helpers, methods, decorators and defaults: the name that the library knows it by."""
    assert found in mentions([IMPORTS, source], "f")


def test_what_another_definition_mentions_is_not_its_own():
    """Only the definition and what it uses: the rest of the notebook says nothing of it."""
    program = [IMPORTS, "def f(x): return x * 2\n", "def g(x): return torch.softmax(f(x), -1)\n"]
    assert mentions(program, "f") == {"x"}
    assert "torch.softmax" in mentions(program, "g")
    assert mentions(program, "absent") == frozenset()


def test_definitions_in_circles_end():
    """Two functions may use each other."""
    assert {"torch.exp", "torch.log"} <= mentions(
        [IMPORTS, "def f(x): return g(torch.exp(x))\ndef g(x): return f(torch.log(x))"], "f"
    )


def test_the_last_definition_is_the_text():
    """As in Python, the last one counts; the text is the student's own, decorators included."""
    assert definition(["def f(x):\n    return 1\n", "y = 1\n@cache\ndef f(x):\n    return 2  # two\n"], "f") == (
        "@cache\ndef f(x):\n    return 2  # two\n"
    )
    assert definition(["def f(:"], "f") == ""
