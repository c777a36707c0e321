"""Hidden checks of F1, einsum2. Student and rng in, silence or a hint out.

The oracle is torch.einsum in float64; tolerance 1e-9 relative, since these are sums of under a thousand terms of size 1.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, gradients, normal, raises, shapes, sizes, strided, unchanged
from autograder.sandbox.student import Call, Student

EINSUM = "f1_tensors.einsum2"
PRODUCTS = ("ij,jk->ik", "bij,bjk->bik", "i,j->ij", "i,i->", "ij,ij->ij", "bi,bj->bij", "bhqd,bhkd->bhqk", "ij,j->i", "i,ij->j")


def _operands(rng: np.random.Generator, eq: str, low: int = 2, high: int = 6) -> tuple[Tensor, Tensor]:
    """Draw tensors for the equation. Up to four letters have different sizes."""
    left, right = eq.split("->")[0].split(",")
    letters = sorted(set(left + right))
    drawn = sizes(rng, min(len(letters), high - low), low, high)
    size = {c: drawn[i] if i < len(drawn) else int(rng.integers(low, high)) for i, c in enumerate(rng.permutation(letters))}
    return _drawn(rng, size, left), _drawn(rng, size, right)


def _drawn(rng: np.random.Generator, size: Mapping[str, int], letters: str) -> Tensor:
    return normal(rng, *(size[c] for c in letters), 1).squeeze(-1)


def _contracts(student: Student, cases: Sequence[tuple[str, Tensor, Tensor]], slip: str, rtol: float = 1e-9) -> None:
    found = student.each("einsum2", [Call(*case) for case in cases])
    for eq, a, b in cases:
        expected = torch.einsum(eq, a.double(), b.double())
        said = f'einsum2("{eq}") for {shapes(a=a, b=b)}'
        # A sum may cancel: its rounding is relative to its terms, which are of size 1.
        close(next(found), expected, said, rtol=rtol, atol=1e-12, dtype=a.dtype, slip=slip)


@hidden(EINSUM, weight=3, core=True)
def products(student: Student, rng: np.random.Generator) -> None:
    """The products that have names: matrices, batches, outer, inner, entry by entry, vectors from either side, attention."""
    slip = "Which letters are kept, which are summed, and which run through both operands?"
    _contracts(student, [(eq, *_operands(rng, eq)) for eq in PRODUCTS], slip)


def _equation(rng: np.random.Generator, n_letters: int, pool: str = string.ascii_letters) -> str:
    """Draw letters, deal each to one operand or both, and keep some of them in the output, all in random order."""
    letters = rng.choice(list(pool), size=n_letters, replace=False)
    place = rng.integers(0, 3, n_letters)
    kept = rng.random(n_letters) < 0.6

    def mixed(wanted: np.ndarray[Any, Any]) -> str:
        return "".join(rng.permutation(letters[wanted])) if wanted.any() else ""

    return f"{mixed(place != 1)},{mixed(place != 0)}->{mixed(kept)}"


@hidden(EINSUM, weight=4)
def random_equations(student: Student, rng: np.random.Generator) -> None:
    """Forty drawn equations: letters in any order, kept or summed, in one operand or both, capital or small."""
    # Every other equation is dense in pairs such as i and I, which are two letters.
    equations = [_equation(rng, 1 + case % 6, string.ascii_letters if case % 4 < 2 else "iIjJkK") for case in range(40)]
    slip = "Sort the letters into kinds first, and bring the output in order last."
    _contracts(student, [(eq, *_operands(rng, eq)) for eq in equations], slip)


@hidden(EINSUM, weight=2)
def orders_and_lonely_letters(student: Student, rng: np.random.Generator) -> None:
    """Outputs in another order than the product's, and letters that one operand alone has and the output has not."""
    turned = ("ij,jk->ki", "bij,bjk->kbi", "ij,kl->ljki", "bi,bj->jib", "abc,cbd->dab", "ji,kj->ik")
    lonely = ("ij,jk->k", "ij,jk->", "ij,k->", "ij,kj->i", "bij,bk->b", "ij,kl->ik", "aij,ak->k", "i,jk->j", "ab,bc->a", "ij,ij->i")
    slip = "Is the output in the equation's order? Are lonely letters summed, each once?"
    _contracts(student, [(eq, *_operands(rng, eq)) for eq in (*turned, *lonely)], slip)


@hidden(EINSUM, weight=1)
def edges_and_gradients(student: Student, rng: np.random.Generator) -> None:
    """No letters, sizes 1 and 0, float32, strided operands; the operands stay as they were; gradients reach both."""
    single = [(eq, *_operands(rng, eq)) for eq in (",->", ",ij->ji", "i,->i", "ij,->", ",i->")]
    _contracts(student, single, "No letters: a tensor of one number, which multiplies everything.")
    small = []
    for eq in ("bij,bjk->bik", "ij,jk->ki", "ij,kl->ik", "bij,bjk->"):
        left, right = eq.split("->")[0].split(",")
        for low, high in ((1, 2), (0, 1), (0, 3)):
            size = {c: int(rng.integers(low, high)) for c in sorted(set(left + right))}
            small.append((eq, _drawn(rng, size, left), _drawn(rng, size, right)))
    _contracts(student, small, "Sizes of 1 and 0 are sizes: a sum over nothing is 0.")
    a, b = _operands(rng, "bij,bjk->bik")
    turned = strided(a), b.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    _contracts(student, [("bij,bjk->kbi", *turned)], "Strided operands.")
    _contracts(student, [("bij,bjk->kbi", a.float(), b.float())], "float32 operands.", rtol=1e-5)
    before = [a.clone(), b.clone()]
    _, after = student.fn("einsum2", return_args=True)("bij,bjk->kbi", a, b)
    unchanged(after[1:], before, "a b", "einsum2")
    for eq in ("bij,bjk->kbi", "ij,jk->k", "i,j->ji", _equation(rng, 5)):
        _gradients(student, rng, eq)


def _gradients(student: Student, rng: np.random.Generator, eq: str) -> None:
    a, b = _operands(rng, eq)
    inputs = {"a": a.requires_grad_(), "b": b.requires_grad_()}
    expected = torch.einsum(eq, a, b)
    upstream = normal(rng, *expected.shape, 1).squeeze(-1)
    found = gradients(student.fn("einsum2")(eq, a, b), inputs, upstream, f'einsum2("{eq}")')
    for (name, t), g in zip(inputs.items(), torch.autograd.grad(expected, [a, b], upstream), strict=True):
        close(found[name], g, f'gradient of {name} {tuple(t.shape)} for "{eq}"', rtol=1e-9, atol=1e-12)


@hidden(EINSUM, weight=1)
def refuses_what_it_cannot_mean(student: Student, rng: np.random.Generator) -> None:
    """Diagonals, repeated or unknown output letters, a wrong number of dimensions, two sizes for a letter: each a ValueError."""
    n, m = sizes(rng, 2, 2, 6)
    faults = {
        "ii,ij->ij": ((n, n), (n, m)),
        "ij,jj->i": ((m, n), (n, n)),
        "iji,k->jk": ((n, m, n), (m,)),
        "ij,jk->ii": ((n, m), (m, n)),
        "ij,jk->iz": ((n, m), (m, n)),
        "ij,jk->ik": ((n, m), (m + 1, n)),
        "bij,bjk->bik": ((1, n, m), (3, m, n)),
        "i,ij->ij": ((1,), (n, m)),
        "ij,k->ik": ((n, m, 1), (m,)),
        "ijk,k->ij": ((n, m), (m,)),
        "ab,bc->ac": ((n, m), (m, n, 1)),
    }
    found = student.each("einsum2", [Call(eq, normal(rng, *left), normal(rng, *right)) for eq, (left, right) in faults.items()])
    for eq, (left, right) in faults.items():
        raises("ValueError", lambda: next(found), f'einsum2("{eq}") for a {left}, b {right}')


@contextmanager
def _watched(student: Student) -> Iterator[list[str]]:
    """Let every einsum of torch in the student's process, also einops', come to the referee, who notes the equation.

    torch.einsum and what builds on it call one function of torch._VF, which is replaced meanwhile. In one process with us
    that function is ours too, hence the original is put back in any case.
    """
    equations: list[str] = []

    def noted(equation: Any = "", *_: Any, **__: Any) -> None:
        equations.append(str(equation))
        raise ValueError

    inner = student.get("torch").part("_VF")
    original = inner.part("einsum")
    inner.set("einsum", noted)
    try:
        yield equations
    finally:
        inner.set("einsum", original)


@hidden(EINSUM, weight=1, core=True)
def without_einsum(student: Student, rng: np.random.Generator) -> None:
    """Neither torch.einsum nor anything that calls it does the work."""
    cases = [(eq, *_operands(rng, eq)) for eq in ("bij,bjk->kbi", "i,j->ij", "ij,kl->ik", "ij,ij->")]
    right = [torch.einsum(*case) for case in cases]
    with _watched(student) as equations:
        for (eq, a, b), expected in zip(cases, right, strict=True):
            found = _quietly(partial(student.fn("einsum2"), eq, a, b))
            assert not equations, f'einsum2("{eq}") calls torch.einsum, directly or through einops. It is what you are to build.'
            close(found, expected, f'einsum2("{eq}") for {shapes(a=a, b=b)}', rtol=1e-9, atol=1e-12)


def _quietly(call: Any) -> Any:
    """Return what the call returns, or None where the student's code raises: the calls that were noted say why."""
    from autograder.sandbox.student import BoxLost, StudentError

    try:
        return call()
    except BoxLost:
        raise
    except StudentError:
        return None
