"""Wrong and right answers to R1: project, random_in_ball, fgsm with loss_gradient.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import alternative, alternative_edit, mutant_edit

PROJECT, DRAW = "r1_adversarial_attacks.project", "r1_adversarial_attacks.random_in_ball"
FGSM = "r1_adversarial_attacks.fgsm"

# -- project ---------------------------------------------------------------------------------------------------------------

mutant_edit(
    PROJECT,
    ("torch.where(norm <= eps, flat, moved)", "moved"),
    caught_by="inside_is_left_alone",
    label="scales inside points up to eps",
    hint="Examples inside the ball are moved to its rim. A projection leaves them where they are.",
)
mutant_edit(
    PROJECT,
    ("norm = flat.norm(dim=1, keepdim=True)", "norm = flat.norm()"),
    caught_by="box_and_sphere",
    label="norm over the whole batch",
    hint="Your norm is that of the whole batch. Each example has a ball of its own.",
)
mutant_edit(
    PROJECT,
    ("    if p == math.inf:", "    if p in (2, math.inf):"),
    caught_by="box_and_sphere",
    label="clamps for p=2",
    hint="For p=2 your entries are clamped one by one. A box is not a sphere: its corners lie outside.",
)
mutant_edit(
    PROJECT,
    ("norm = flat.norm(dim=1, keepdim=True)", "norm = flat.square().sum(dim=1, keepdim=True)"),
    caught_by="box_and_sphere",
    label="the root of the norm is forgotten",
    hint="For p=2 you divide by the squared length.",
)
mutant_edit(
    PROJECT,
    ("moved = flat.sign() * (flat.abs() - shrink.gather(1, n_kept - 1)).clamp_min(0)", "moved = flat * (eps / norm)"),
    caught_by="no_feasible_point_is_nearer",
    label="scales for p=1",
    hint="For p=1 you scale the example. That brings it into the ball, but not to its nearest point.",
)
mutant_edit(
    PROJECT,
    ("(flat.abs() - shrink.gather(1, n_kept - 1)).clamp_min(0)", "(flat.abs() - shrink[:, -1:]).clamp_min(0)"),
    caught_by="diamond",
    label="all entries share the excess",
    hint="For p=1 you share the excess among all entries, also those that are 0 before it is used up.",
)
mutant_edit(
    PROJECT,
    ("moved = flat.sign() * (flat.abs()", "moved = (flat.abs()"),
    caught_by="diamond",
    label="the signs are lost",
    hint="For p=1 all your entries come out positive.",
)
mutant_edit(
    PROJECT,
    (".clamp_min(0)\n", "\n"),
    caught_by="diamond",
    label="entries change their sign",
    hint="For p=1 small entries are shrunk through 0 and come out with the other sign.",
)
mutant_edit(
    PROJECT,
    ("n_kept = (largest > shrink).sum(dim=1, keepdim=True)", "n_kept = (largest > shrink[:, :1]).sum(dim=1, keepdim=True)"),
    caught_by="diamond",
    label="keeps too many entries",
    hint="For p=1 you decide which entries stay by the threshold of the largest one alone.",
)
mutant_edit(
    PROJECT,
    (".reshape(delta.shape)", ""),
    caught_by="box_and_sphere",
    label="comes back flattened",
    hint="Your result is flattened. It should have the shape of delta.",
)
mutant_edit(
    PROJECT,
    ("flat = delta.flatten(1)", "flat = delta.reshape(-1, delta.shape[-1])"),
    caught_by=("box_and_sphere", "diamond"),
    label="each row is an example",
    hint="Only your last dimension counts as one vector. Example i is all of delta[i].",
)
mutant_edit(
    PROJECT,
    ("norm.clamp_min(torch.finfo(flat.dtype).tiny)", "norm"),
    ("torch.where(norm <= eps, flat, moved)", "torch.where(norm < eps, flat, moved)"),
    caught_by="edges_of_project",
    label="0 divided by 0",
    hint="Your projection of the zero vector on a ball of radius 0 is not a number.",
)
mutant_edit(
    PROJECT,
    ("return delta.clamp(-eps, eps)", "return delta.clamp_(-eps, eps)"),
    caught_by="edges_of_project",
    label="in place",
    hint="delta itself is changed.",
)
mutant_edit(
    PROJECT,
    (
        '        raise ValueError(f"p={p}; expected math.inf, 2 or 1")',
        "        norm, moved = flat.abs().sum(dim=1, keepdim=True), flat",
    ),
    caught_by="edges_of_project",
    label="an unknown p passes",
    hint="Another p than the three is accepted silently.",
)
mutant_edit(
    PROJECT,
    ("return delta.clamp(-eps, eps)", "return delta.sign() * eps"),
    caught_by=("box_and_sphere", "inside_is_left_alone"),
    label="corners for p=inf",
    hint="For p=inf every entry is moved to the rim.",
)


@alternative(PROJECT, label="example by example, p=1 by bisection")
def project(delta: Tensor, eps: float, p: float) -> Tensor:
    if p not in (math.inf, 2, 1):
        raise ValueError("p")
    result = delta.clone()
    for i in range(len(delta)):
        v = delta[i]
        if p == math.inf:
            result[i] = torch.clamp(v, min=-eps, max=eps)
        elif torch.linalg.vector_norm(v, ord=p) > eps:
            if p == 2:
                result[i] = eps * v / torch.linalg.vector_norm(v)
            else:
                low, high = torch.zeros((), dtype=v.dtype), v.abs().max()
                for _ in range(200):
                    mid = (low + high) / 2
                    if torch.relu(v.abs() - mid).sum() > eps:
                        low = mid
                    else:
                        high = mid
                result[i] = torch.sign(v) * torch.relu(v.abs() - high)
    return result


@alternative(PROJECT, label="torch.renorm, and the simplex by a mask")
def project(delta, eps, p):
    flat = delta.reshape(len(delta), math.prod(delta.shape[1:]))
    if p == math.inf:
        out = torch.minimum(torch.maximum(flat, torch.full_like(flat, -eps)), torch.full_like(flat, eps))
    elif p == 2:
        out = flat if eps == 0 else flat * (eps / flat.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1)
        out = torch.zeros_like(flat) if eps == 0 else out
    elif p == 1:
        u, _ = torch.sort(flat.abs(), descending=True)
        css = torch.cumsum(u, 1)
        k = torch.arange(1, flat.shape[1] + 1, dtype=flat.dtype)
        rho = ((u * k) > (css - eps)).to(flat.dtype).mul(k).argmax(1)
        theta = (css.gather(1, rho[:, None]) - eps) / (rho[:, None] + 1)
        out = torch.where(u.sum(1, keepdim=True) <= eps, flat, flat.sign() * (flat.abs() - theta).clamp(min=0))
    else:
        raise ValueError(p)
    return out.view(delta.shape)


# -- random_in_ball --------------------------------------------------------------------------------------------------------

mutant_edit(
    DRAW,
    ("radius = eps * torch.rand(shape[0], 1, generator=gen) ** (1 / normal.shape[1])", "radius = eps"),
    caught_by="radius_by_volume",
    label="surface only",
    hint="All your points lie on the surface of the ball.",
)
mutant_edit(
    DRAW,
    (" ** (1 / normal.shape[1])", ""),
    caught_by="radius_by_volume",
    label="radius uniform",
    hint="Your radius is uniform. In a ball there is more room further out, the more so the more dimensions there are.",
)
mutant_edit(
    DRAW,
    ("(1 / normal.shape[1])", "(1 / 2)"),
    caught_by="radius_by_volume",
    label="the root of a disc in every dimension",
    hint="Your radius has the law of a disc. How does volume grow with the radius in d dimensions?",
)
mutant_edit(
    DRAW,
    ("(1 / normal.shape[1])", "(1 / shape[-1])"),
    caught_by="radius_by_volume",
    label="d is the last dimension only",
    hint="d is the number of all entries of an example, not the length of its last dimension.",
)
mutant_edit(
    DRAW,
    ("torch.rand(shape[0], 1, generator=gen) **", "torch.rand(1, 1, generator=gen) **"),
    caught_by="examples_are_independent",
    label="one radius for all",
    hint="All examples of a call share one radius.",
)
mutant_edit(
    DRAW,
    ("torch.randn(*shape, generator=gen)", "(2 * torch.rand(*shape, generator=gen) - 1)"),
    caught_by="every_direction",
    label="directions from a cube",
    hint="Your directions come from a cube: its corners are favoured.",
)
mutant_edit(
    DRAW,
    (
        "    if p == math.inf:\n        return (2 * torch.rand(*shape, generator=gen) - 1) * eps\n    if p != 2:",
        "    if p not in (2, math.inf):",
    ),
    caught_by="every_direction",
    label="a sphere for p=inf",
    hint="For p=inf your points fill a sphere. The ball is a cube then.",
)
mutant_edit(
    DRAW,
    ("(2 * torch.rand(*shape, generator=gen) - 1) * eps", "torch.rand(*shape, generator=gen) * eps"),
    caught_by="in_the_ball",
    label="never negative",
    hint="For p=inf no entry is negative.",
)
mutant_edit(
    DRAW,
    (
        "(2 * torch.rand(*shape, generator=gen) - 1) * eps",
        "(2 * torch.rand(shape[0], *[1] * (len(shape) - 1), generator=gen) - 1).expand(*shape) * eps",
    ),
    caught_by=("every_direction", "examples_are_independent"),
    label="one number for all pixels",
    hint="For p=inf all entries of an example are equal.",
)
mutant_edit(
    DRAW,
    ("(2 * torch.rand(*shape, generator=gen) - 1) * eps", "(2 * torch.randint(2, tuple(shape), generator=gen) - 1.0) * eps"),
    caught_by="every_direction",
    label="corners only",
    hint="For p=inf only the corners of the cube are drawn.",
)
mutant_edit(
    DRAW,
    ("normal / normal.norm(dim=1, keepdim=True) * radius", "normal / normal.norm() * radius"),
    caught_by=("in_the_ball", "radius_by_volume"),
    label="normalised over the batch",
    hint="You divide by the length of the whole batch, so that all points lie close to the centre.",
)
mutant_edit(
    DRAW,
    ("torch.randn(*shape, generator=gen)", "torch.randn(*shape)"),
    ("(2 * torch.rand(*shape, generator=gen)", "(2 * torch.rand(*shape)"),
    caught_by="only_from_the_generator",
    label="global randomness",
    hint="Your draws come from torch's global generator.",
)
mutant_edit(
    DRAW,
    ("    if p == math.inf:\n        return", "    gen.manual_seed(0)\n    if p == math.inf:\n        return"),
    caught_by="only_from_the_generator",
    label="seeded anew in every call",
    hint="The generator is seeded inside the function: every call returns the same points.",
)
mutant_edit(
    DRAW,
    ("torch.rand(shape[0], 1, generator=gen) ** (1 / normal.shape[1])", "normal.norm(dim=1, keepdim=True).clamp(max=1)"),
    caught_by="radius_by_volume",
    label="a normal cloud, clipped",
    hint="Your lengths are those of normal vectors, clipped to the ball.",
)


@alternative(DRAW, label="an exponential for the radius, in float64")
def random_in_ball(shape, eps, p, gen):
    b, d = shape[0], math.prod(shape[1:])
    if p == math.inf:
        return torch.empty(tuple(shape)).uniform_(-eps, eps, generator=gen)
    if p == 2:
        g = torch.randn(b, d, generator=gen, dtype=torch.float64)
        e = torch.empty(b, 1, dtype=torch.float64).exponential_(generator=gen)
        # d normal numbers and twice an exponential: the first d of a uniform point of a sphere with two dimensions more.
        return (eps * g / (g.square().sum(1, keepdim=True) + 2 * e).sqrt()).float().view(*shape)
    raise ValueError(f"p = {p}")


@alternative(DRAW, label="two coordinates more, thrown away")
def random_in_ball(shape: Sequence[int], eps: float, p: float, gen: torch.Generator) -> Tensor:
    if p not in (2, math.inf):
        raise ValueError("only 2 and inf")
    d = math.prod(shape[1:])
    if p == math.inf:
        return torch.rand(tuple(shape), generator=gen).sub(0.5).mul(2 * eps)
    g = torch.randn((shape[0], d + 2), generator=gen)
    return (eps * F.normalize(g, dim=1)[:, :d]).reshape(tuple(shape))


# -- fgsm ------------------------------------------------------------------------------------------------------------------

mutant_edit(
    FGSM,
    (".clamp(clip[0], clip[1])", ""),
    caught_by="clipped_to_the_box",
    label="no clip",
    hint="Your result leaves the range of pixels.",
)
mutant_edit(
    FGSM,
    (".clamp(clip[0], clip[1])", ".clamp(0, 1)"),
    caught_by="clipped_to_the_box",
    label="clip is ignored",
    hint="You clip to [0, 1] whatever `clip` says.",
)
mutant_edit(
    FGSM,
    ("step = -eps if targeted else eps", "step = eps"),
    caught_by="towards_a_target",
    label="targeted is ignored",
    hint="With targeted=True your step still raises the loss.",
)
mutant_edit(
    FGSM,
    ("-eps if targeted else eps", "eps if targeted else -eps"),
    caught_by="best_corner_of_a_linear_model",
    label="the sign of targeted",
    hint="Your step lowers the loss of the right class. Without a target it should rise.",
)
mutant_edit(
    FGSM,
    ("step * gradient.sign()", "step * gradient / gradient.abs().mean()"),
    caught_by="best_corner_of_a_linear_model",
    label="divided by the mean, not signed",
    hint="Your pixels move by different amounts: the gradient is divided by its mean size, instead of its sign being taken.",
)
mutant_edit(
    FGSM,
    ("step * gradient.sign()", "step * gradient"),
    caught_by="best_corner_of_a_linear_model",
    label="the raw gradient",
    hint="Your pixels move by eps times the gradient. What is its sign for?",
)
mutant_edit(
    FGSM,
    ("step * gradient.sign()", "step * torch.where(gradient >= 0, 1.0, -1.0).to(x.dtype)"),
    caught_by="no_gradient_no_move",
    label="a gradient of 0 moves up",
    hint="Pixels whose derivative is 0 are moved.",
)
mutant_edit(
    FGSM,
    ("step * gradient.sign()", "step * torch.where(gradient.abs() > 1e-6, gradient.sign(), 0 * gradient)"),
    caught_by="no_gradient_no_move",
    label="small gradients are taken for 0",
    hint="Small gradients are ignored. Only their sign should matter.",
)
mutant_edit(
    FGSM,
    ("torch.autograd.grad(losses.sum(), x)", "torch.autograd.grad(losses.mean(), x)"),
    caught_by="gradient_of_each_example",
    label="the mean of the batch",
    hint="Your gradient is divided by the number of examples: it is that of the batch's mean.",
)
mutant_edit(
    FGSM,
    ("return losses.detach(), gradient", "return losses.mean().detach(), gradient"),
    caught_by="gradient_of_each_example",
    label="one loss for all",
    hint="loss_gradient returns the mean loss. Each example's own is asked for.",
)
mutant_edit(
    FGSM,
    ("losses = loss(model(x), y)", "losses = cross_entropy(model(x), y)"),
    caught_by="gradient_of_each_example",
    label="the argument loss is ignored",
    hint="loss_gradient always takes the cross-entropy.",
)
mutant_edit(
    FGSM,
    ("with torch.enable_grad(), evaluating(model):", "with evaluating(model):"),
    caught_by="gradient_of_each_example",
    label="fails where gradients are off",
    hint="Where the caller has switched gradients off, loss_gradient fails.",
)
mutant_edit(
    FGSM,
    ("with torch.enable_grad(), evaluating(model):", "with torch.enable_grad():"),
    caught_by="nothing_is_left_behind",
    label="asked in training mode",
    hint="The model is asked in the mode in which it comes. Dropout would then be part of the attack.",
)
mutant_edit(
    FGSM,
    ("with torch.enable_grad(), evaluating(model):", "model.eval()\n    with torch.enable_grad():"),
    caught_by="nothing_is_left_behind",
    label="left in eval mode",
    hint="The model is left in eval mode.",
)
mutant_edit(
    FGSM,
    ("(gradient,) = torch.autograd.grad(losses.sum(), x)", "losses.sum().backward()\n        gradient = x.grad"),
    caught_by="nothing_is_left_behind",
    label="gradients stay in the model",
    hint="backward() leaves gradients in the model's parameters too. Ask for that of x alone.",
)
mutant_edit(
    FGSM,
    ("return losses.detach(), gradient", "return losses, gradient"),
    caught_by="gradient_of_each_example",
    label="the losses keep their graph",
    hint="The losses that you return still require gradients.",
)


@alternative(FGSM, label="backward, then all put back as it was")
def loss_gradient(model, x, y, loss=lambda z, y: F.cross_entropy(z, y, reduction="none")):
    was = {m: m.training for m in model.modules()}
    model.eval()
    saved = [p.grad for p in model.parameters()]
    with torch.set_grad_enabled(True):
        leaf = torch.autograd.Variable(x.detach().clone(), requires_grad=True)
        value = loss(model(leaf), y)
        value.backward(torch.ones_like(value))
    for p, g in zip(model.parameters(), saved):
        p.grad = g
    for m, mode in was.items():
        m.training = mode
    return value.detach(), leaf.grad.detach()


@alternative(FGSM, label="min and max of tensors, two signs")
def fgsm(model, x, y, eps, targeted=False, clip=(0.0, 1.0)):
    g = loss_gradient(model, x, y)[1]
    if targeted:
        g = -g
    moved = torch.where(g > 0, x + eps, torch.where(g < 0, x - eps, x))
    return torch.minimum(torch.maximum(moved, torch.full_like(x, clip[0])), torch.full_like(x, clip[1]))


alternative_edit(
    FGSM,
    ("gradient.sign()", "torch.sgn(gradient)"),
    (".clamp(clip[0], clip[1])", ".clamp_(*clip)"),
    label="sgn, clamped in place",
)
