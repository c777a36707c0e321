"""Wrong and right answers to R2: adversarial_step, trades_loss, spectral_norm with lipschitz_bound and margin_radius.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from autograder.grading.checks import alternative, mutant_edit

STEP, TRADES, NORM = "r2_defences.adversarial_step", "r2_defences.trades_loss", "r2_defences.spectral_norm"


class Residual:
    """Stands for the given class, which the variants use."""


# -- adversarial_step ------------------------------------------------------------------------------------------------------

mutant_edit(
    STEP,
    ("    with in_mode(model, False):\n        points", "    with in_mode(model, True):\n        points"),
    caught_by=("attacks_in_eval_mode", "statistics_move_once"),
    label="attacked in train mode",
    hint="Your attack runs with the model in train mode: each of its queries moves the batch statistics.",
)
mutant_edit(
    STEP,
    ("    with in_mode(model, False):\n        points = attack(model, x, y)", "    points = attack(model, x, y)"),
    caught_by="attacks_in_eval_mode",
    label="attacked in the mode it came in",
    hint="The model is attacked in whatever mode it comes.",
)
mutant_edit(
    STEP,
    ("loss = F.cross_entropy(logits, y)", "loss = (F.cross_entropy(logits, y) + F.cross_entropy(model(x), y)) / 2"),
    caught_by="one_step_on_the_attacked_batch",
    label="mixes in the clean loss",
    hint="Your loss holds clean images too. The step is on attacked images alone.",
)
mutant_edit(
    STEP,
    ("logits = model(points.detach())", "logits = model(x)"),
    caught_by="one_step_on_the_attacked_batch",
    label="trains on the clean images",
    hint="The attack runs, but your step is taken on the clean images.",
)
mutant_edit(
    STEP,
    ("        logits = model(points.detach())", "        x.copy_(points)\n        logits = model(x)"),
    caught_by="one_step_on_the_attacked_batch",
    label="x in place",
    hint="You write the attacked images into x itself: the caller's data set is slowly replaced.",
)
mutant_edit(
    STEP,
    ("        # After the attack: a backward() in it fills the parameters' gradients as well.\n        opt.zero_grad()\n", ""),
    ("        points = attack", "        opt.zero_grad()\n        points = attack"),
    caught_by="old_gradients_do_not_count",
    label="zero_grad before the attack",
    hint="Gradients that the attack leaves in the parameters are part of your step.",
)
mutant_edit(
    STEP,
    ("        opt.zero_grad()\n", ""),
    caught_by=("old_gradients_do_not_count", "one_step_on_the_attacked_batch"),
    label="no zero_grad",
    hint="Gradients of earlier steps are never removed.",
)
mutant_edit(
    STEP,
    ("    with in_mode(model, True):", "    with in_mode(model, False):"),
    caught_by="one_step_on_the_attacked_batch",
    label="steps in eval mode",
    hint="Your step runs the model in eval mode, so batch norm never learns its statistics.",
)
mutant_edit(
    STEP,
    (
        "    with in_mode(model, False):\n        points = attack(model, x, y)\n    with in_mode(model, True):",
        "    model.eval()\n    points = attack(model, x, y)\n    model.train()\n    if True:",
    ),
    caught_by="modes_come_back",
    label="leaves the model in train mode",
    hint="Afterwards every part of the model is in train mode, whatever it was in before.",
)
mutant_edit(
    STEP,
    (
        "    with in_mode(model, False):\n        points = attack(model, x, y)\n    with in_mode(model, True):",
        "    was = model.training\n    model.eval()\n    points = attack(model, x, y)\n    model.train()\n    if True:",
    ),
    ('    return {"loss"', '    model.train(was)\n    return {"loss"'),
    caught_by="modes_come_back",
    label="restores one mode for all parts",
    hint="You restore the mode of the whole model. Its parts may have been in different modes.",
)
mutant_edit(
    STEP,
    ('    return {"loss": loss.item()', '    logits = model(points)\n    return {"loss": F.cross_entropy(logits, y).item()'),
    caught_by=("numbers_of_the_step", "statistics_move_once"),
    label="measures after the step",
    hint="Your numbers are taken after the parameters have changed.",
)
mutant_edit(
    STEP,
    ("        opt.step()", "        clean = model(x)\n        opt.step()"),
    ("(logits.argmax(1) == y)", "(clean.argmax(1) == y)"),
    caught_by=("numbers_of_the_step", "statistics_move_once"),
    label="clean accuracy",
    hint="Your accuracy is that of the clean images, and asking for it moves the batch statistics once more.",
)
mutant_edit(
    STEP,
    ('"loss": loss.item()', '"loss": loss.detach()'),
    caught_by="numbers_of_the_step",
    label="a tensor for the loss",
    hint="The loss comes back as a tensor. A plain float was asked for.",
)
mutant_edit(
    STEP,
    ("F.cross_entropy(logits, y)", 'F.cross_entropy(logits, y, reduction="sum")'),
    caught_by="one_step_on_the_attacked_batch",
    label="the sum of the batch",
    hint="Your loss is the sum over the batch, so the step grows with the batch size.",
)
mutant_edit(
    STEP,
    ("        points = attack(model, x, y)", "        points = attack(model, attack(model, x, y), y)"),
    caught_by="attacks_in_eval_mode",
    label="attacks twice",
    hint="The attack is called twice.",
)


@alternative(STEP, label="modes by hand, gradients set to None")
def adversarial_step(model, opt, x, y, attack):
    modes = {part: part.training for part in model.modules()}
    for part in modes:
        part.training = False
    points = attack(model, x, y).detach()
    for p in model.parameters():
        p.grad = None
    for part in modes:
        part.training = True
    out = model(points)
    losses = F.cross_entropy(out, y, reduction="none")
    losses.mean().backward()
    opt.step()
    for part, mode in modes.items():
        part.training = mode
    return {"accuracy": float((out.argmax(1) == y).sum()) / len(y), "loss": float(losses.mean().detach())}


@alternative(STEP, label="torch.autograd.grad")
def adversarial_step(model, opt, x, y, attack):
    with in_mode(model, False):
        points = attack(model, x.clone(), y.clone())
    with in_mode(model, True):
        opt.zero_grad(set_to_none=False)
        logits = model(points)
        loss = -logits.log_softmax(-1)[torch.arange(len(y)), y].mean()
        parameters = list(model.parameters())
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            p.grad = g
        opt.step()
    return {"accuracy": logits.detach().argmax(-1).eq(y).double().mean().item(), "loss": loss.item()}


# -- trades_loss -----------------------------------------------------------------------------------------------------------

mutant_edit(
    TRADES,
    ("torch.autograd.grad(divergence(clean, model(point)), point)", "torch.autograd.grad(F.cross_entropy(model(point), y), point)"),
    caught_by="labels_do_not_steer_the_search",
    label="the search climbs the cross-entropy",
    hint="Your search climbs the cross-entropy of the labels. What shall be as different as possible from the clean answer?",
)
mutant_edit(
    TRADES,
    ("beta * divergence(logits, model(point))", "beta * divergence(logits.detach(), model(point))"),
    caught_by="gradients_through_both_runs",
    label="clean branch detached",
    hint="In the divergence your clean branch is detached: the clean answer is never pulled towards the attacked one.",
)
mutant_edit(
    TRADES,
    (
        "    logits = model(x)\n    return F.cross_entropy(logits, y) + beta * divergence(logits, model(point))",
        "    logits = model(x)\n    with torch.no_grad():\n        attacked = model(point)\n"
        "    return F.cross_entropy(logits, y) + beta * divergence(logits, attacked)",
    ),
    caught_by="gradients_through_both_runs",
    label="attacked branch detached",
    hint="No gradient flows through your attacked run.",
)
mutant_edit(
    TRADES,
    ("F.cross_entropy(logits, y) + beta * divergence", "beta * F.cross_entropy(logits, y) + divergence"),
    caught_by=("clean_loss_plus_divergence", "beta_weighs_the_divergence"),
    label="beta on the wrong term",
    hint="beta weighs the clean loss in your answer.",
)
mutant_edit(
    TRADES,
    (
        "return F.kl_div(attacked.log_softmax(1), clean.log_softmax(1)",
        "return F.kl_div(clean.log_softmax(1), attacked.log_softmax(1)",
    ),
    caught_by="clean_loss_plus_divergence",
    label="the divergence turned round",
    hint="Your divergence is KL(attacked || clean). F.kl_div takes its arguments in the other order than the formula.",
)
mutant_edit(
    TRADES,
    ("log_target=True)", "log_target=True) / clean.shape[1]"),
    caught_by="clean_loss_plus_divergence",
    label="mean over classes too",
    hint="Your divergence is divided by the number of classes as well.",
)
mutant_edit(
    TRADES,
    ('reduction="batchmean"', 'reduction="sum"'),
    caught_by="clean_loss_plus_divergence",
    label="the sum over the batch",
    hint="Your divergence is a sum over the batch, so beta means something else for each batch size.",
)
mutant_edit(
    TRADES,
    ("point = back(x + 0.001 * start)", "point = x"),
    caught_by=("labels_do_not_steer_the_search", "clean_loss_plus_divergence"),
    label="begins at x itself",
    hint="Your search begins at x, where the divergence is least and its gradient is 0.",
)
mutant_edit(
    TRADES,
    ("point = back(x + 0.001 * start)", "point = back(x + eps * (2 * torch.rand(x.shape, generator=gen).to(x.dtype) - 1))"),
    caught_by="clean_loss_plus_divergence",
    label="begins anywhere in the ball",
    hint="Your search begins uniformly in the ball; a small normal draw around x was asked for.",
)
mutant_edit(
    TRADES,
    ("point = back(x + 0.001 * start)", "point = x + 0.001 * start"),
    caught_by="queries_obey_the_threat_model",
    label="the start is not brought back",
    hint="Your first query may lie outside of the ball and of [0, 1]: the start is a query like any other.",
)
mutant_edit(
    TRADES,
    ("(x + (point - x).clamp(-eps, eps)).clamp(0, 1)", "(x + (point - x).clamp(-eps, eps))"),
    caught_by="queries_obey_the_threat_model",
    label="no box",
    hint="Your attacked images leave [0, 1].",
)
mutant_edit(
    TRADES,
    ("(x + (point - x).clamp(-eps, eps)).clamp(0, 1)", "point.clamp(0, 1)"),
    caught_by="queries_obey_the_threat_model",
    label="no ball",
    hint="Your attacked images leave the ball.",
)
mutant_edit(
    TRADES,
    ("with in_mode(model, False), torch.enable_grad():", "with torch.enable_grad():"),
    caught_by=("queries_obey_the_threat_model", "trades_leaves_nothing_behind"),
    label="searches in train mode",
    hint="Your search asks the model in the caller's mode, and moves its batch statistics with every step.",
)
mutant_edit(
    TRADES,
    ("    logits = model(x)\n", "    model.train()\n    logits = model(x)\n"),
    caught_by="queries_obey_the_threat_model",
    label="always ends in train mode",
    hint="Your last two runs are in train mode even when the model came in eval mode.",
)
mutant_edit(
    TRADES,
    (
        "(gradient,) = torch.autograd.grad(divergence(clean, model(point)), point)",
        "divergence(clean, model(point)).backward()\n            gradient = point.grad",
    ),
    caught_by="gradients_through_both_runs",
    label="backward fills the parameters",
    hint="Your search leaves gradients in the model's parameters.",
)
mutant_edit(
    TRADES,
    ("2 * eps / steps * gradient.sign()", "eps / steps * gradient.sign()"),
    caught_by="clean_loss_plus_divergence",
    label="half the step",
    hint="Your steps are half as long as documented.",
)
mutant_edit(
    TRADES,
    ("point.detach() + 2 * eps", "point.detach() - 2 * eps"),
    caught_by=("clean_loss_plus_divergence", "labels_do_not_steer_the_search"),
    label="descends",
    hint="Your search makes the divergence smaller.",
)
mutant_edit(
    TRADES,
    ("start = torch.randn(x.shape, generator=gen)", "start = torch.randn(x.shape)"),
    caught_by="trades_leaves_nothing_behind",
    label="global randomness",
    hint="Your start comes from torch's global generator.",
)


mutant_edit(
    TRADES,
    ("return F.cross_entropy(logits, y) + beta * divergence", "return F.cross_entropy(logits, y) + min(beta, 1.0) * divergence"),
    caught_by="beta_weighs_the_divergence",
    label="beta is cut at 1",
    hint="Beyond 1 your loss does not grow with beta any more.",
)


@alternative(TRADES, label="probabilities by hand")
def trades_loss(model, x, y, eps, beta, steps, gen):
    noise = torch.randn(x.shape, generator=gen)
    low, high = torch.clamp(x - eps, min=0), torch.clamp(x + eps, max=1)
    adv = torch.clamp(x + 0.001 * noise, min=low, max=high).detach()
    modes = [m.training for m in model.modules()]
    model.eval()
    p = model(x).detach().softmax(dim=1)
    for _ in range(steps):
        adv.requires_grad_(True)
        with torch.enable_grad():
            loss = (p * (p.log() - model(adv).log_softmax(1))).sum()
            g = torch.autograd.grad(loss, [adv])[0]
        adv = torch.clamp(adv.detach() + (2 * eps / steps) * torch.sign(g), min=low, max=high)
    for m, mode in zip(model.modules(), modes, strict=True):
        m.training = mode
    log_p = model(x).log_softmax(1)
    log_q = model(adv).log_softmax(1)
    clean = F.nll_loss(log_p, y)
    return clean + beta * (log_p.exp() * (log_p - log_q)).sum(1).mean()


@alternative(TRADES, label="kl_div with probabilities, clean answer asked in each step")
def trades_loss(model, x, y, eps, beta, steps, gen):
    delta = (0.001 * torch.randn(x.shape, generator=gen)).to(x.dtype).clamp(-eps, eps)
    delta = (x + delta).clamp(0, 1) - x
    kl = nn.KLDivLoss(reduction="sum")
    with in_mode(model, False), torch.enable_grad():
        for _ in range(steps):
            delta = delta.detach().requires_grad_()
            value = kl(model((x + delta).clamp(0, 1)).log_softmax(1), model(x).detach().softmax(1))
            step = 2 * eps / steps * torch.autograd.grad(value, delta)[0].sign()
            delta = (x + (delta.detach() + step).clamp(-eps, eps)).clamp(0, 1) - x
    logits = model(x)
    natural = nn.CrossEntropyLoss()(logits, y)
    return natural + beta / len(x) * kl(model((x + delta.detach()).clamp(0, 1)).log_softmax(1), logits.softmax(1))


# -- spectral_norm, lipschitz_bound, margin_radius -------------------------------------------------------------------------

mutant_edit(
    NORM,
    ("    w = w.detach()\n", "    w = w.detach().flatten(1)\n"),
    caught_by="norm_of_the_convolution",
    label="the kernel as a matrix",
    hint="Your norm of a convolution is that of its kernel, written as a matrix. The image is not in it.",
)
mutant_edit(
    NORM,
    ("product *= factor", "product += factor"),
    caught_by="product_of_the_layers",
    label="the sum of the layers",
    hint="Your bounds of layers in a row are added. The second layer stretches what the first has stretched.",
)
mutant_edit(
    NORM,
    ("(math.sqrt(2) * L)", "L"),
    caught_by="radius_from_the_margin",
    label="no root of two",
    hint="Your radius is too large: it takes the difference of two logits to move no further than the vector of logits does.",
)
mutant_edit(
    NORM,
    ("(math.sqrt(2) * L)", "(2 * L)"),
    caught_by="radius_from_the_margin",
    label="two for the root of two",
    hint="Your radius is sound, but not the largest: two logits cannot both move by the whole length of the change.",
)
mutant_edit(
    NORM,
    ("return float(norm)", "return float(norm) ** 2"),
    caught_by="largest_singular_value_of_a_matrix",
    label="the square",
    hint="You return the square of the norm: the eigenvalue of the map times its transpose.",
)
mutant_edit(
    NORM,
    ("return float(norm)", "return float(w.norm())"),
    caught_by=("largest_singular_value_of_a_matrix", "any_map_and_never_above"),
    label="the Frobenius norm",
    hint="That is the Frobenius norm. It is never below the spectral norm, and mostly far above.",
)
mutant_edit(
    NORM,
    ("w.T @ u if w.ndim == 2", "u if w.ndim == 2 and w.shape[0] == w.shape[1] else w.T @ u if w.ndim == 2"),
    caught_by=("largest_singular_value_of_a_matrix", "any_map_and_never_above"),
    label="no transpose for square matrices",
    hint="For square matrices you iterate with the matrix alone. That finds an eigenvalue, not a singular value.",
)
mutant_edit(
    NORM,
    (
        "v = torch.randn(start, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(w.dtype)",
        "v = torch.ones(start, dtype=w.dtype)",
    ),
    caught_by="any_map_and_never_above",
    label="begins with ones",
    hint="You begin with a vector of ones. A map that annuls it has norm 0 for you: difference filters do.",
)
mutant_edit(
    NORM,
    (
        "v = torch.randn(start, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(w.dtype)",
        "v = torch.zeros(start, dtype=w.dtype)\n    v.view(-1)[0] = 1",
    ),
    caught_by="any_map_and_never_above",
    label="begins with a unit vector",
    hint="You begin with a unit vector. A map that annuls it has norm 0 for you.",
)
mutant_edit(
    NORM,
    ("generator=torch.Generator().manual_seed(0), ", ""),
    caught_by="any_map_and_never_above",
    label="the global generator",
    hint="Your start is drawn from torch's global generator, which then gives others other numbers.",
)
mutant_edit(
    NORM,
    ("v.norm().clamp_min(torch.finfo(w.dtype).tiny)", "v.norm()"),
    caught_by="any_map_and_never_above",
    label="0 divided by 0",
    hint="For a map that is 0 your estimate is not a number.",
)
mutant_edit(
    NORM,
    ("F.conv2d(v, w, stride=stride, padding=padding)", "F.conv2d(v, w)"),
    ("nn.grad.conv2d_input(start, w, u, stride=stride, padding=padding)", "nn.grad.conv2d_input(start, w, u)"),
    caught_by="norm_of_the_convolution",
    label="stride and padding ignored",
    hint="Your convolution ignores stride and padding.",
)
mutant_edit(
    NORM,
    ("return 1 + bound(part.body, x)[0], part(x)", "return max(1.0, bound(part.body, x)[0]), part(x)"),
    caught_by="product_of_the_layers",
    label="the larger path of a residual block",
    hint="For x + body(x) you take the larger of the two paths. Both may stretch the same difference.",
)
mutant_edit(
    NORM,
    ("return 1 + bound(part.body, x)[0], part(x)", "return bound(part.body, x)[0], part(x)"),
    caught_by="product_of_the_layers",
    label="the skip is forgotten",
    hint="For x + body(x) you forget the path that leaves x as it is.",
)
mutant_edit(
    NORM,
    ('        raise TypeError(f"no bound is known for a layer of type {type(part).__name__}")', "        return 1.0, part(x)"),
    caught_by="unknown_layers_have_no_bound",
    label="unknown layers count 1",
    hint="A layer that you do not know counts 1 in your bound. Then the bound does not hold.",
)
mutant_edit(
    NORM,
    ("(top[:, 0] - top[:, 1])", "top[:, 0]"),
    caught_by="radius_from_the_margin",
    label="the largest logit for the margin",
    hint="Your margin is the largest logit itself. Only differences of logits decide.",
)


@alternative(NORM, label="gradient as the transpose")
def spectral_norm(w, iters, shape=None, stride=1, padding=0):
    w = w.detach()

    def apply(v):
        return w.mv(v) if w.dim() == 2 else F.conv2d(v.unsqueeze(0), w, None, stride, padding)

    gen = torch.Generator()
    gen.manual_seed(1234)
    v = torch.empty(w.shape[1] if w.dim() == 2 else tuple(shape), dtype=w.dtype).uniform_(-1, 1, generator=gen)
    sigma = 0.0
    for _ in range(iters):
        length = v.norm().item()
        if length == 0:
            return 0.0
        leaf = (v / length).requires_grad_()
        with torch.enable_grad():
            out = apply(leaf)
            (v,) = torch.autograd.grad(0.5 * out.square().sum(), leaf)
        sigma = out.detach().norm().item()
    return float(sigma)


@alternative(NORM, label="by a stack of layers, and a loop over pairs")
def lipschitz_bound(net, shape, iters=200):
    x = torch.zeros((1, *shape), dtype=next(net.parameters()).dtype)
    total = 1.0
    parts = [net]
    while parts:
        part = parts.pop()
        kind = type(part)
        if kind is nn.Sequential:
            parts.extend(reversed(list(part)))
            continue
        if kind is nn.Linear:
            total *= spectral_norm(part.weight, iters)
        elif kind is nn.Conv2d:
            total *= spectral_norm(part.weight, iters, tuple(x.shape[1:]), part.stride[0], part.padding[0])
        elif kind is Residual:
            total *= 1.0 + lipschitz_bound(part.body, tuple(x.shape[1:]), iters)
        elif kind not in (nn.ReLU, nn.Flatten):
            raise TypeError(f"cannot bound {kind}")
        with torch.no_grad():
            x = part(x)
    return float(total)


@alternative(NORM, label="the margin by sorting")
def margin_radius(logits, L):
    ordered, _ = logits.sort(dim=-1)
    return (ordered[..., -1] - ordered[..., -2]) / L / math.sqrt(2.0)
