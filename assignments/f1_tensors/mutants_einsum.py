"""Wrong and right answers to F1's einsum2.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import math

import einops
import torch
from torch import Tensor

from autograder.grading.checks import alternative, mutant, mutant_edit

EINSUM = "f1_tensors.einsum2"

mutant_edit(
    EINSUM,
    (
        "    return product.reshape([size[c] for c in made]).permute([made.index(c) for c in out])",
        "    return product.reshape([size[c] for c in made])",
    ),
    caught_by="orders_and_lonely_letters",
    label="the output in the product's own order",
    hint="The dimensions of your result stand in the order in which the product makes them, not in the equation's.",
)
mutant_edit(
    EINSUM,
    (".permute([made.index(c) for c in out])", ".permute([out.index(c) for c in made])"),
    caught_by=("orders_and_lonely_letters", "random_equations"),
    label="the inverse permutation",
    hint="Your result is permuted the other way round. With three dimensions a permutation and its inverse differ.",
)
mutant_edit(
    EINSUM,
    ("folded(a, left, [batch, rows, summed, alone_a]).sum(-1)", "folded(a, left, [batch, rows, summed, alone_a])[..., 0]"),
    caught_by=("orders_and_lonely_letters", "random_equations"),
    label="only the first value of a lonely letter of a",
    hint="A letter that only a has, and the output has not, is summed over: you take its first value.",
)
mutant_edit(
    EINSUM,
    ("folded(b, right, [batch, summed, columns, alone_b]).sum(-1)", "folded(b, right, [batch, summed, columns, alone_b]).mean(-1)"),
    caught_by=("orders_and_lonely_letters", "random_equations"),
    label="a mean over lonely letters of b",
    hint="A letter that only b has, and the output has not, is summed over; you take its mean.",
)
mutant_edit(
    EINSUM,
    ("t.permute(order).reshape(", "t.reshape([t.shape[i] for i in order]).reshape("),
    caught_by=("products", "random_equations"),
    label="reshape in place of permute",
    hint="You reshape an operand to the order of its letters: the shape is right, and the numbers are read in the old order.",
)
mutant_edit(
    EINSUM,
    ("    if any(len(set(letters)) < len(letters) for letters in (left, right, out)):", "    if len(set(out)) < len(out):"),
    caught_by="refuses_what_it_cannot_mean",
    label="diagonals are not refused",
    hint="A letter that stands twice in one operand is not refused.",
)
mutant_edit(
    EINSUM,
    ("    if not set(out) <= set(left + right):", "    if False:"),
    (".permute([made.index(c) for c in out])", ".permute([made.find(c) for c in out])"),
    caught_by="refuses_what_it_cannot_mean",
    label="unknown output letters fail in another way",
    hint="An output letter that no operand has should be a ValueError, found before anything is computed.",
)
mutant_edit(
    EINSUM,
    ("    if [size[c] for c in left] != list(a.shape):", "    if False:"),
    caught_by="refuses_what_it_cannot_mean",
    label="two sizes for a letter fail in another way",
    hint="A letter with two different sizes should be a ValueError, also when one of them is 1.",
)
mutant_edit(
    EINSUM,
    ("    if len(left) != a.ndim or len(right) != b.ndim:", "    if False:"),
    (
        "zip(left, a.shape, strict=True)) | dict(zip(right, b.shape, strict=True))",
        "zip(left, a.shape)) | dict(zip(right, b.shape))",
    ),
    caught_by="refuses_what_it_cannot_mean",
    label="letters and dimensions are not counted",
    hint="An operand with more dimensions than letters should be a ValueError.",
)
mutant_edit(
    EINSUM,
    ("    operands, _, out", "    a, b = a.detach(), b.detach()\n    operands, _, out"),
    caught_by="edges_and_gradients",
    label="detached",
    hint="No gradient reaches the operands in your function.",
)
mutant_edit(
    EINSUM,
    ("    operands, _, out", "    dtype, a, b = a.dtype, a.float(), b.float()\n    operands, _, out"),
    ("for c in out])", "for c in out]).to(dtype)"),
    caught_by="products",
    label="computes in float32",
    hint="float64 operands lose half of their digits in your function. Is a dtype fixed somewhere?",
)
mutant_edit(
    EINSUM,
    (
        "reshape([math.prod(size[c] for c in group) for group in groups])",
        "reshape([math.prod(size[c] for c in group) for group in groups[:-1]] + [-1])",
    ),
    caught_by="edges_and_gradients",
    label="-1 where a size may be 0",
    hint="Your function fails when a size is 0: with nothing in the tensor, -1 has no single meaning.",
)


@mutant(
    EINSUM,
    caught_by="products",
    label="batch letters are summed",
    hint="A letter that both operands have is always summed in your function, also when the output keeps it.",
)
def einsum2(eq: str, a: Tensor, b: Tensor) -> Tensor:
    ins, out = eq.split("->")
    left, right = ins.split(",")
    if any(len(set(s)) != len(s) for s in (left, right, out)) or not set(out) <= set(ins):
        raise ValueError
    size = dict(zip(left, a.shape)) | dict(zip(right, b.shape))
    both = [c for c in left if c in right]
    whole = torch.tensordot(a, b, dims=([left.index(c) for c in both], [right.index(c) for c in both]))
    have = [c for c in left + right if c not in both]
    for c in [c for c in have if c not in out]:
        whole = whole.sum(have.index(c))
        have.remove(c)
    for c in [c for c in out if c not in have]:
        whole = whole.expand(size[c], *whole.shape)
        have.insert(0, c)
    return whole.permute([have.index(c) for c in out])


@mutant(
    EINSUM,
    caught_by="without_einsum",
    label="torch.einsum",
    hint="Your function calls torch.einsum. It is what you are to build.",
)
def einsum2(eq: str, a: Tensor, b: Tensor) -> Tensor:
    ins, out = eq.split("->")
    left, right = ins.split(",")
    if any(len(set(s)) != len(s) for s in (left, right, out)) or not set(out) <= set(ins):
        raise ValueError
    if len(left) != a.ndim or len(right) != b.ndim:
        raise ValueError
    if any(a.shape[left.index(c)] != b.shape[right.index(c)] for c in left if c in right):
        raise ValueError
    return torch.einsum(eq, a, b)


@mutant(
    EINSUM,
    caught_by="without_einsum",
    label="einops.einsum",
    hint="Your function calls einops.einsum, which calls torch.einsum. It is what you are to build.",
)
def einsum2(eq: str, a: Tensor, b: Tensor) -> Tensor:
    ins, out = eq.split("->")
    left, right = ins.split(",")
    if any(len(set(s)) != len(s) for s in (left, right, out)) or not set(out) <= set(ins):
        raise ValueError
    if len(left) != a.ndim or len(right) != b.ndim:
        raise ValueError
    if any(a.shape[left.index(c)] != b.shape[right.index(c)] for c in left if c in right):
        raise ValueError
    return einops.einsum(a, b, f"{' '.join(left)}, {' '.join(right)} -> {' '.join(out)}")


@mutant(
    EINSUM,
    caught_by="products",
    label="matrix products only",
    hint="Your function knows only the products that look like matrix products.",
)
def einsum2(eq: str, a: Tensor, b: Tensor) -> Tensor:
    ins, out = eq.split("->")
    left, right = ins.split(",")
    if len(set(left)) < len(left) or len(set(right)) < len(right):
        raise ValueError
    return (a @ b).permute([(left[:-1] + right[-1]).index(c) for c in out])


@mutant(
    EINSUM,
    caught_by=("orders_and_lonely_letters", "random_equations"),
    label="lonely letters left to sum(dim=[])",
    hint="Where no letter is lonely, your sum over no dimension sums over all of them: torch takes an empty list for everything.",
)
def einsum2(eq: str, a: Tensor, b: Tensor) -> Tensor:
    ins, out = eq.split("->")
    left, right = ins.split(",")
    if any(len(set(s)) != len(s) for s in (left, right, out)) or not set(out) <= set(ins):
        raise ValueError
    if [len(left), len(right)] != [a.ndim, b.ndim]:
        raise ValueError
    if any(a.shape[left.index(c)] != b.shape[right.index(c)] for c in left if c in right):
        raise ValueError
    letters = out + "".join(sorted(set(left + right) - set(out)))
    spread = []
    for t, own in ((a, left), (b, right)):
        t = t.permute([own.index(c) for c in letters if c in own])
        spread.append(t.reshape([t.shape[[c for c in letters if c in own].index(c)] if c in own else 1 for c in letters]))
    return (spread[0] * spread[1]).sum(dim=list(range(len(out), len(letters))))


@mutant(
    EINSUM,
    caught_by="random_equations",
    label="capital and small letters are one",
    hint="Your letters in lower case and in upper case are one: i and I are two letters.",
)
def einsum2(eq: str, a: Tensor, b: Tensor) -> Tensor:
    eq = eq.lower()
    ins, out = eq.split("->")
    left, right = ins.split(",")
    if any(len(set(s)) != len(s) for s in (left, right, out)) or not set(out) <= set(ins):
        raise ValueError
    if [len(left), len(right)] != [a.ndim, b.ndim]:
        raise ValueError
    if any(a.shape[left.index(c)] != b.shape[right.index(c)] for c in left if c in right):
        raise ValueError
    letters = out + "".join(sorted(set(left + right) - set(out)))
    spread = []
    for t, own in ((a, left), (b, right)):
        t = t.permute([own.index(c) for c in letters if c in own])
        spread.append(t.reshape([t.shape[[c for c in letters if c in own].index(c)] if c in own else 1 for c in letters]))
    whole = spread[0] * spread[1]
    return whole.flatten(len(out)).sum(-1) if len(letters) > len(out) else whole


@alternative(EINSUM, label="spread out, multiplied, summed")
def einsum2(eq: str, a: Tensor, b: Tensor) -> Tensor:
    ins, out = eq.split("->")
    left, right = ins.split(",")
    for part in (left, right, out):
        if len(part) != len(set(part)):
            raise ValueError("a letter twice")
    if len(left) != a.dim() or len(right) != b.dim() or set(out) - set(left) - set(right):
        raise ValueError("letters and dimensions")
    sizes = {}
    for c, n in [*zip(left, a.shape), *zip(right, b.shape)]:
        if sizes.setdefault(c, n) != n:
            raise ValueError("two sizes")
    letters = list(out) + [c for c in sizes if c not in out]

    def spread(t, own):
        t = t.permute([own.index(c) for c in letters if c in own])
        return t.reshape([sizes[c] if c in own else 1 for c in letters])

    whole = spread(a, left) * spread(b, right)
    for _ in range(len(letters) - len(out)):
        whole = whole.sum(-1)
    return whole


@alternative(EINSUM, label="tensordot, one batch entry after the other")
def einsum2(eq, a, b):
    ins, out = eq.split("->")
    left, right = ins.split(",")
    if max(map(len, (left, right, out))) and any(len(set(s)) < len(s) for s in (left, right, out)):
        raise ValueError
    if len(left) != a.ndim or len(right) != b.ndim or any(c not in left + right for c in out):
        raise ValueError
    size = dict(zip(right, b.shape))
    if any(c in size and size[c] != n for c, n in zip(left, a.shape)):
        raise ValueError
    size.update(zip(left, a.shape))
    for c in [c for c in left if c not in right and c not in out]:
        a, left = a.sum(left.index(c)), left.replace(c, "")
    for c in [c for c in right if c not in left and c not in out]:
        b, right = b.sum(right.index(c)), right.replace(c, "")
    batch = [c for c in left if c in right and c in out]
    inner = [c for c in left if c in right and c not in out]
    rest = [c for c in left if c not in batch + inner] + [c for c in right if c not in batch + inner]
    fa = a.permute([left.index(c) for c in batch] + [i for i, c in enumerate(left) if c not in batch])
    fb = b.permute([right.index(c) for c in batch] + [i for i, c in enumerate(right) if c not in batch])
    n = math.prod(size[c] for c in batch)
    fa, fb = fa.reshape(n, *fa.shape[len(batch) :]), fb.reshape(n, *fb.shape[len(batch) :])
    la, lb = [c for c in left if c not in batch], [c for c in right if c not in batch]
    dims = ([la.index(c) for c in inner], [lb.index(c) for c in inner])
    made = [torch.tensordot(x, y, dims=dims) for x, y in zip(fa, fb)]
    whole = torch.stack(made) if made else a.new_zeros(0, *(size[c] for c in rest))
    return whole.reshape([size[c] for c in batch + rest]).permute([(batch + rest).index(c) for c in out])


@alternative(EINSUM, label="one matmul, with flatten and unflatten by hand")
def einsum2(eq: str, a: Tensor, b: Tensor) -> Tensor:
    arrow = eq.index("->")
    comma = eq.index(",")
    A, B, C = eq[:comma], eq[comma + 1 : arrow], eq[arrow + 2 :]
    if len(A) != a.ndim or len(B) != b.ndim:
        raise ValueError("dimensions")
    if len(set(A)) != len(A) or len(set(B)) != len(B) or len(set(C)) != len(C) or not set(C).issubset(A + B):
        raise ValueError("letters")
    dims: dict[str, int] = {}
    for name, n in list(zip(A, a.shape)) + list(zip(B, b.shape)):
        if dims.get(name, n) != n:
            raise ValueError("sizes")
        dims[name] = n
    kinds = {k: [] for k in ("batch", "m", "n", "k", "a", "b")}
    for c in dims:
        if c in A and c in B:
            kinds["batch" if c in C else "k"].append(c)
        elif c in A:
            kinds["m" if c in C else "a"].append(c)
        else:
            kinds["n" if c in C else "b"].append(c)
    count = {k: math.prod(dims[c] for c in v) for k, v in kinds.items()}
    a = a.permute([A.index(c) for k in ("batch", "m", "k", "a") for c in kinds[k]])
    b = b.permute([B.index(c) for k in ("batch", "k", "n", "b") for c in kinds[k]])
    a = a.contiguous().view(count["batch"], count["m"], count["k"], count["a"]).sum(3)
    b = b.contiguous().view(count["batch"], count["k"], count["n"], count["b"]).sum(3)
    order = kinds["batch"] + kinds["m"] + kinds["n"]
    return torch.matmul(a, b).view([dims[c] for c in order]).permute([order.index(c) for c in C]).contiguous()
