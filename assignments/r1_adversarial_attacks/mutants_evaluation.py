"""Wrong and right answers to R1: robust_accuracy, masking_report, eot_gradient with bpda. See mutants.py for how to read them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from autograder.grading.checks import alternative, mutant, mutant_edit

ACCURACY, MASKING, EOT = (f"r1_adversarial_attacks.{name}" for name in ("robust_accuracy", "masking_report", "eot_gradient"))

# -- robust_accuracy -------------------------------------------------------------------------------------------------------


@mutant(
    ACCURACY,
    caught_by=("union_of_what_is_lost", "clean_mistakes_count"),
    label="the minimum of the accuracies",
    hint="You take the lowest of the attacks' accuracies. Two attacks that break different examples break them all together.",
)
def robust_accuracy(model, data, attacks, batch_size=128):
    x, y = data
    with evaluating(model), torch.no_grad():
        parts = torch.arange(len(x)).split(batch_size)
        clean = torch.cat([model(x[p]).argmax(1) == y[p] for p in parts])
        left, worst = {}, clean
        for name, attack in attacks.items():
            right = torch.cat([model(attack(model, x[p], y[p])).argmax(1) == y[p] for p in parts]) & clean
            left[name] = right.double().mean().item()
            worst = right if right.sum() < worst.sum() else worst
    return {"clean": clean.double().mean().item(), "left": left, "robust": worst.double().mean().item(), "standing": worst}


@mutant(
    ACCURACY,
    caught_by=("clean_mistakes_count", "union_of_what_is_lost"),
    label="averages the attacks",
    hint="You average over the attacks. What counts is the worst case of each example.",
)
def robust_accuracy(model, data, attacks, batch_size=128):
    x, y = data
    with evaluating(model), torch.no_grad():
        parts = torch.arange(len(x)).split(batch_size)
        clean = torch.cat([model(x[p]).argmax(1) == y[p] for p in parts])
        left, standing = {}, clean.clone()
        for name, attack in attacks.items():
            right = torch.cat([model(attack(model, x[p], y[p])).argmax(1) == y[p] for p in parts]) & clean
            left[name] = right.double().mean().item()
            standing &= right
    robust = sum(left.values()) / max(len(left), 1) if left else clean.double().mean().item()
    return {"clean": clean.double().mean().item(), "left": left, "robust": robust, "standing": standing}


mutant_edit(
    ACCURACY,
    ("        left = {}", "        standing[:] = True\n        left = {}"),
    caught_by="clean_mistakes_count",
    label="ignores clean mistakes",
    hint="What the model gets wrong without any attack is attacked, and counted by what comes of that.",
)
mutant_edit(
    ACCURACY,
    ("standing.nonzero()[:, 0].split(batch_size) if standing.any() else ()", "torch.arange(len(x)).split(batch_size)"),
    (
        "standing[part] = right(attack(model, x[part], y[part]), y[part])",
        "standing[part] &= right(attack(model, x[part], y[part]), y[part])",
    ),
    caught_by="only_what_stands_is_attacked",
    label="attacks everything again",
    hint="Your attacks get examples that are lost already.",
)
mutant_edit(
    ACCURACY,
    ("standing.nonzero()[:, 0].split(batch_size) if standing.any() else ()", "torch.arange(len(x)).split(batch_size)"),
    caught_by="union_of_what_is_lost",
    label="the last attack decides",
    hint="Only the last attack counts: an example that stands after it is taken back.",
)
mutant_edit(
    ACCURACY,
    (" if standing.any() else ()", ""),
    caught_by=("only_what_stands_is_attacked", "batches_with_a_remainder"),
    label="an attack on nothing",
    hint="When no example is left, the next attack is called with an empty batch.",
)
mutant_edit(
    ACCURACY,
    ('"robust": standing.double().mean().item()', '"robust": standing.double().mean().item() / max(clean, 1e-9)'),
    caught_by="clean_mistakes_count",
    label="a share of the right ones",
    hint="Your robust accuracy is a share of the examples that the model gets right. It is one of all.",
)
mutant_edit(
    ACCURACY,
    (
        "clean = standing.double().mean().item()",
        "clean = torch.stack([s.double().mean() for s in standing.split(batch_size)]).mean().item()",
    ),
    caught_by="batches_with_a_remainder",
    label="the mean of batches' means",
    hint="You average the accuracies of batches. The last, shorter batch then weighs too much.",
)
mutant_edit(
    ACCURACY,
    (
        "for part in torch.arange(len(x)).split(batch_size):",
        "for part in (torch.arange(len(x)).split(batch_size)[: max(1, len(x) // batch_size)]):",
    ),
    caught_by="batches_with_a_remainder",
    label="the remainder is dropped",
    hint="The examples after the last whole batch are never looked at.",
)
mutant_edit(
    ACCURACY,
    ("    with evaluating(model):\n        for part", "    if True:\n        for part"),
    caught_by="counted_in_eval_mode",
    label="asked in training mode",
    hint="The model is asked in training mode.",
)
mutant_edit(
    ACCURACY,
    (
        "standing[part] = right(attack(model, x[part], y[part]), y[part])",
        "standing[part] = (attack(model, x[part], y[part]) == x[part]).flatten(1).all(1)",
    ),
    caught_by=("union_of_what_is_lost", "counted_in_eval_mode"),
    label="trusts the attack",
    hint="You never ask the model about the attacked points.",
)
mutant_edit(
    ACCURACY,
    ("right(attack(model, x[part], y[part]), y[part])", "right(attack(model, x[part], y[: len(part)]), y[part])"),
    caught_by="only_what_stands_is_attacked",
    label="labels that do not belong",
    hint="Your attacks get labels that belong to other examples.",
)
mutant_edit(
    ACCURACY,
    ("left[name] = standing.double().mean().item()", "left[name] = right(attack(model, x, y), y).double().mean().item()"),
    caught_by=("union_of_what_is_lost", "only_what_stands_is_attacked"),
    label="left of each attack alone",
    hint='Your "left" is what each attack leaves alone, not after those before it.',
)


mutant_edit(
    ACCURACY,
    ("in attacks.items()", "in sorted(attacks.items(), reverse=True)"),
    caught_by="order_is_no_matter",
    label="an order of its own",
    hint="Your attacks are not made in the order of the mapping.",
)


@alternative(ACCURACY, label="lists of the lost, one attack on all batches after the other")
def robust_accuracy(model, data, attacks, batch_size=128):
    images, labels = data
    n = len(labels)
    alive = []
    with evaluating(model):
        for start in range(0, n, batch_size):
            with torch.no_grad():
                answer = model(images[start : start + batch_size]).max(1).indices
            alive += [start + i for i, a in enumerate(answer.tolist()) if a == labels[start + i]]
        result = {"clean": len(alive) / n, "left": {}}
        for name in attacks:
            survivors = []
            for start in range(0, len(alive), batch_size):
                now = torch.tensor(alive[start : start + batch_size])
                points = attacks[name](model, images[now], labels[now])
                with torch.no_grad():
                    ok = model(points).argmax(-1).eq(labels[now])
                survivors.extend(now[ok].tolist())
            alive = survivors
            result["left"][name] = len(alive) / n
    standing = torch.zeros(n).bool()
    standing[alive] = True
    result["robust"], result["standing"] = torch.tensor(len(alive) / n, dtype=torch.float64), standing
    return result


@alternative(ACCURACY, label="batch by batch, all attacks on each")
def robust_accuracy(model, data, attacks, batch_size=128):
    x, y = data
    was = {m: m.training for m in model.modules()}
    model.eval()
    clean, masks, last = [], {name: [] for name in attacks}, []
    for xb, yb in zip(x.split(batch_size), y.split(batch_size)):
        with torch.no_grad():
            ok = model(xb).argmax(1) == yb
        clean.append(ok.clone())
        for name, attack in attacks.items():
            if ok.any():
                adv = attack(model, xb[ok], yb[ok])
                with torch.no_grad():
                    still = model(adv).argmax(1) == yb[ok]
                ok = ok.masked_scatter(ok.clone(), still)
            masks[name].append(ok.clone())
        last.append(ok)
    for m, mode in was.items():
        m.training = mode

    def share(parts):
        return float(torch.cat(parts).sum()) / len(x)

    return {
        "standing": torch.cat(last),
        "clean": share(clean),
        "left": {name: share(parts) for name, parts in masks.items()},
        "robust": share(last),
    }


# -- masking_report --------------------------------------------------------------------------------------------------------

mutant_edit(
    MASKING,
    ("pgd(model, x, y, 1.0, 0.25, 20, 1, math.inf, gen)", "pgd(model, x, y, eps, eps / 4, 20, 1, math.inf, gen)"),
    caught_by="honest_models_raise_no_flag",
    label="eps = 1 is not tried",
    hint="Your unbounded attack keeps to eps. A robust network then looks masked.",
)
mutant_edit(
    MASKING,
    ("square_attack(model, x, y, eps, 300, gen)", "(x + random_in_ball(x.shape, eps, math.inf, gen)).clamp(0, 1)"),
    caught_by="tells_masked_from_honest",
    label="random noise in place of search",
    hint="You try random noise where a search is asked for. Noise hardly ever finds a mistake.",
)
mutant_edit(
    MASKING,
    (
        "    x, y = data\n",
        '    names = ("more_steps", "unbounded_eps", "random_search", "transfer", "flat_loss")\n'
        "    return dict.fromkeys(names, True)\n    x, y = data\n",
    ),
    caught_by="tells_masked_from_honest",
    label="always guilty",
    hint="Your report accuses every model.",
)
mutant_edit(
    MASKING,
    (
        "    x, y = data\n",
        '    names = ("more_steps", "unbounded_eps", "random_search", "transfer", "flat_loss")\n'
        "    return dict.fromkeys(names, False)\n    x, y = data\n",
    ),
    caught_by="tells_masked_from_honest",
    label="never guilty",
    hint="Your report acquits every model.",
)
mutant_edit(
    MASKING,
    ("under_pgd > accuracy(fgsm(model, x, y, eps)) + 0.1", "under_pgd < accuracy(fgsm(model, x, y, eps)) - 0.1"),
    caught_by="one_step_beats_many",
    label="more steps should not help",
    hint="You report masking where PGD is stronger than fgsm. That is how it should be.",
)
mutant_edit(
    MASKING,
    ("under_pgd > accuracy(fgsm(model, x, y, eps)) + 0.1", "under_pgd > accuracy(fgsm(model, x, y, eps)) + 0.95"),
    caught_by="one_step_beats_many",
    label="clearly means almost everything",
    hint="Your difference between one step and twenty must be enormous to count.",
)
mutant_edit(
    MASKING,
    (
        "accuracy(pgd(surrogate, x, y, eps, eps / 4, 20, 1, math.inf, gen)) < under_pgd - 0.1",
        "accuracy(pgd(surrogate, x, y, eps, eps / 4, 20, 1, math.inf, gen)) < accuracy(x) - 0.1",
    ),
    caught_by="tells_masked_from_honest",
    label="transfer compared with no attack",
    hint="You compare the transferred points with clean ones. That they do harm is no sign; that they do more than PGD is.",
)
mutant_edit(
    MASKING,
    (
        "accuracy(square_attack(model, x, y, eps, 300, gen)) < under_pgd - 0.1",
        "accuracy(square_attack(model, x, y, eps, 300, gen)) < accuracy(x) - 0.1",
    ),
    caught_by="tells_masked_from_honest",
    label="search compared with no attack",
    hint="You compare the search with clean images. That it finds mistakes is no sign; that it finds more than PGD is.",
)
mutant_edit(
    MASKING,
    ("pgd(surrogate, x, y, eps,", "pgd(model, x, y, eps,"),
    caught_by="tells_masked_from_honest",
    label="the surrogate is not used",
    hint="Your transferred points are made on the model itself.",
)


@mutant(
    MASKING,
    caught_by=("tells_masked_from_honest", "honest_models_raise_no_flag"),
    label="accuracy on the surrogate",
    hint="You count the transferred points on the surrogate, where they were made.",
)
def masking_report(model, surrogate, data, eps, gen):
    x, y = data

    def accuracy(points, of=None):
        of = model if of is None else of
        with torch.no_grad(), evaluating(of):
            return (of(points).argmax(1) == y).double().mean().item()

    base = accuracy(pgd(model, x, y, eps, eps / 4, 20, 1, math.inf, gen))
    _, g = loss_gradient(model, x, y)
    return {
        "more_steps": base > accuracy(fgsm(model, x, y, eps)) + 0.1,
        "unbounded_eps": accuracy(pgd(model, x, y, 1.0, 0.25, 20, 1, math.inf, gen)) > 0.1,
        "random_search": accuracy(square_attack(model, x, y, eps, 300, gen)) < base - 0.1,
        "transfer": accuracy(pgd(surrogate, x, y, eps, eps / 4, 20, 1, math.inf, gen), surrogate) < base - 0.1
        or accuracy(pgd(surrogate, x, y, eps, eps / 4, 20, 1, math.inf, gen), surrogate) < 0.5,
        "flat_loss": bool(((g.abs().flatten(1).amax(1)) < 1e-12).double().mean() > 0.5),
    }


mutant_edit(
    MASKING,
    ("gradient.abs().flatten(1).amax(dim=1) < 1e-12", "gradient.abs().flatten(1).amin(dim=1) < 1e-2"),
    caught_by=("tells_masked_from_honest", "honest_models_raise_no_flag", "one_step_beats_many"),
    label="flat if any entry is small",
    hint="You call the loss flat as soon as one pixel has a small derivative.",
)
mutant_edit(
    MASKING,
    (
        "(gradient.abs().flatten(1).amax(dim=1) < 1e-12).double().mean() > 0.5",
        "(gradient.abs().flatten(1).amax(dim=1) < 1e-12).all()",
    ),
    caught_by="tells_masked_from_honest",
    label="flat everywhere or not at all",
    hint="You ask for a vanishing gradient at every example. More than half is enough.",
)
mutant_edit(
    MASKING,
    ("with torch.no_grad(), evaluating(model):", "with torch.no_grad():"),
    caught_by="tells_masked_from_honest",
    label="counted in training mode",
    hint="The model is asked in training mode when you count.",
)
mutant_edit(
    MASKING,
    ("bool((gradient", "((gradient"),
    caught_by="tells_masked_from_honest",
    label="a tensor for a bool",
    hint="One of your answers is a tensor.",
)
mutant_edit(
    MASKING,
    (
        "square_attack(model, x, y, eps, 300, gen)",
        "square_attack(model, x, y, eps, 300, torch.Generator().manual_seed(torch.randint(99, ()).item()))",
    ),
    caught_by="report_leaves_nothing_behind",
    label="global randomness",
    hint="A part of your randomness does not come from gen.",
)
mutant_edit(
    MASKING,
    ("> accuracy(fgsm(model, x, y, eps)) + 0.1", "> accuracy(fgsm(model, x, y, eps)) - 0.3"),
    caught_by="rounded_and_random_inputs",
    label="equal counts as more",
    hint="Your report sees one step beat many where both do nothing.",
)


@alternative(MASKING, label="accuracies first, in another order, counted in integers")
def masking_report(model, surrogate, data, eps, gen):
    x, y = data
    n = len(y)

    def n_right(points):
        with evaluating(model), torch.no_grad():
            return int((model(points).max(1).indices == y).sum())

    grads = loss_gradient(model, x, y)[1].reshape(n, -1)
    n_flat = int((grads.abs() < 1e-12).all(1).sum())
    moved = pgd(surrogate, x, y, eps, 0.25 * eps, 20, 1, math.inf, gen)
    searched = square_attack(model, x, y, eps, 300, gen)
    n_transfer, n_search = n_right(moved), n_right(searched)
    n_one = n_right(fgsm(model, x, y, eps))
    n_free = n_right(pgd(model, x, y, 1.0, 0.25, 20, 1, math.inf, gen))
    n_pgd = n_right(pgd(model, x, y, eps, 0.25 * eps, 20, 1, math.inf, gen))
    return {
        "flat_loss": n_flat > n / 2,
        "transfer": n_pgd - n_transfer > 0.1 * n,
        "random_search": n_pgd - n_search > 0.1 * n,
        "unbounded_eps": n_free > 0.1 * n,
        "more_steps": n_pgd - n_one > 0.1 * n,
    }


@alternative(MASKING, label="helpers, and comparisons by name")
def masking_report(model, surrogate, data, eps, gen):
    images, labels = data

    def climb(of, radius):
        return pgd(of, images, labels, radius, radius / 4, 20, 1, math.inf, gen)

    points = {
        "pgd": lambda: climb(model, eps),
        "fgsm": lambda: fgsm(model, images, labels, eps),
        "free": lambda: climb(model, 1.0),
        "square": lambda: square_attack(model, images, labels, eps, 300, gen),
        "surrogate": lambda: climb(surrogate, eps),
    }
    acc = {}
    for name, make in points.items():
        adv = make()
        with evaluating(model):
            acc[name] = torch.mean((model(adv).argmax(1) == labels).float()).item()
    g = loss_gradient(model, images, labels)[1]
    flat = [bool(torch.all(torch.abs(row) < 1e-12)) for row in g]
    return {
        "more_steps": acc["fgsm"] < acc["pgd"] - 0.1,
        "unbounded_eps": acc["free"] > 0.1,
        "random_search": acc["square"] < acc["pgd"] - 0.1,
        "transfer": acc["surrogate"] < acc["pgd"] - 0.1,
        "flat_loss": sum(flat) / len(flat) > 0.5,
    }


# -- eot_gradient with bpda ------------------------------------------------------------------------------------------------


@mutant(
    EOT,
    caught_by="mean_of_the_gradients",
    label="averages inputs, not gradients",
    hint="You take the gradient at the average of the transformed inputs. The average of the gradients is another thing.",
)
def eot_gradient(model, transform, x, y, n, gen):
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad(), evaluating(model):
        seeds = torch.randint(2**31, (n,), generator=gen).tolist()
        mean = torch.stack([transform(leaf, s) for s in seeds]).mean(0)
        return torch.autograd.grad(cross_entropy(model(mean), y).sum(), leaf)[0]


@mutant(
    EOT,
    caught_by="mean_of_the_gradients",
    label="averages logits, not losses",
    hint="You take the loss of the average logits. The average of the losses is another thing.",
)
def eot_gradient(model, transform, x, y, n, gen):
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad(), evaluating(model):
        seeds = torch.randint(2**31, (n,), generator=gen).tolist()
        mean = torch.stack([model(transform(leaf, s)) for s in seeds]).mean(0)
        return torch.autograd.grad(cross_entropy(mean, y).sum(), leaf)[0]


mutant_edit(
    EOT,
    ("torch.randint(2**31, (n,), generator=gen).tolist()", "[int(torch.randint(2**31, (), generator=gen))] * n"),
    caught_by=("fresh_seeds_from_the_generator", "unbiased_and_steadier"),
    label="one sample reused",
    hint="All your draws use the same transformation.",
)
mutant_edit(
    EOT,
    (
        "losses = cross_entropy(model(transform(points, seed)), y)",
        "moved = transform(points, seed).detach().requires_grad_()\n            losses = cross_entropy(model(moved), y)",
    ),
    ("torch.autograd.grad(losses.sum(), points)", "torch.autograd.grad(losses.sum(), moved)"),
    caught_by="mean_of_the_gradients",
    label="the graph is cut at the transformation",
    hint="Your gradient is that by the transformed input. It must go back through the transformation to x.",
)
mutant_edit(
    EOT,
    ("return total / n", "return total"),
    caught_by="mean_of_the_gradients",
    label="a sum for a mean",
    hint="You return the sum of the gradients.",
)
mutant_edit(
    EOT,
    ("losses.sum(), points", "losses.mean(), points"),
    caught_by="mean_of_the_gradients",
    label="the mean of the batch",
    hint="Your gradient is divided by the number of examples.",
)
mutant_edit(
    EOT,
    ("return total / n", "return (total / n).sign()"),
    caught_by="mean_of_the_gradients",
    label="the sign of the mean",
    hint="You return the sign of the gradient.",
)
mutant_edit(
    EOT,
    ("total += torch.autograd.grad(losses.sum(), points)[0]", "total += torch.autograd.grad(losses.sum(), points)[0].sign()"),
    caught_by="mean_of_the_gradients",
    label="the mean of signs",
    hint="You average the signs of the gradients.",
)
mutant_edit(
    EOT,
    ("torch.randint(2**31, (n,), generator=gen).tolist()", "range(n)"),
    caught_by="fresh_seeds_from_the_generator",
    label="seeds 0, 1, 2, ...",
    hint="Your seeds are 0, 1, 2, ...: every call draws the same transformations.",
)
mutant_edit(
    EOT,
    ("torch.randint(2**31, (n,), generator=gen)", "torch.randint(2**31, (n,))"),
    caught_by="fresh_seeds_from_the_generator",
    label="global randomness",
    hint="Your seeds do not come from gen.",
)
mutant_edit(
    EOT,
    ("torch.randint(2**31, (n,), generator=gen)", "torch.randint(1000, (n,), generator=gen)"),
    caught_by="fresh_seeds_from_the_generator",
    label="a thousand seeds",
    hint="Your seeds come from a small range, so that they repeat.",
)
mutant_edit(
    EOT,
    (
        "        points = x.detach().clone().requires_grad_()",
        "        points = (points.detach() if total.any() else x.detach()).clone().add_(0.01 * total.sign()).requires_grad_()",
    ),
    caught_by="mean_of_the_gradients",
    label="moves between draws",
    hint="Your point moves between the draws.",
)
mutant_edit(
    EOT,
    ("with torch.enable_grad(), evaluating(model):", "with torch.enable_grad():"),
    caught_by="eot_leaves_nothing_behind",
    label="asked in training mode",
    hint="The model is asked in training mode.",
)
mutant_edit(
    EOT,
    ("return module(x).clone()", "return backward(x).clone()"),
    caught_by="forward_of_one_backward_of_the_other",
    label="bpda: the value of backward",
    hint="The value of your bpda is that of backward.",
)
mutant_edit(
    EOT,
    ("(gradient,) = torch.autograd.grad(backward(point), point, upstream)", "gradient = upstream"),
    caught_by="forward_of_one_backward_of_the_other",
    label="bpda: always straight through",
    hint="Your gradient passes straight through, whatever backward is.",
)
mutant_edit(
    EOT,
    (
        "(gradient,) = torch.autograd.grad(backward(point), point, upstream)",
        "(gradient,) = torch.autograd.grad(backward(point).sum(), point)",
    ),
    caught_by="forward_of_one_backward_of_the_other",
    label="bpda: the incoming gradient is lost",
    hint="What comes in from above plays no role in your backward pass.",
)


@mutant(
    EOT,
    caught_by="forward_of_one_backward_of_the_other",
    label="bpda: both derivatives",
    hint="module's own derivative is still in your gradient.",
)
def bpda(module, backward):
    return lambda x: module(x) + backward(x) - backward(x).detach()


@mutant(
    EOT,
    caught_by=("breaks_the_shipped_defence", "forward_of_one_backward_of_the_other"),
    label="bpda: everything detached",
    hint="No gradient passes through your bpda.",
)
def bpda(module, backward):
    return lambda x: (backward(x) + module(x) - backward(x)).detach()


@mutant(
    EOT,
    caught_by="breaks_the_shipped_defence",
    label="bpda: module as it is",
    hint="Your bpda is module itself, with its own gradient.",
)
def bpda(module, backward):
    return module


@mutant(
    EOT,
    caught_by="forward_of_one_backward_of_the_other",
    label="bpda: the derivative at module(x)",
    hint="Your derivative is taken at module(x). It belongs to x.",
)
def bpda(module, backward):
    class Replaced(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            out = module(x).clone()
            ctx.save_for_backward(out)
            return out

        @staticmethod
        def backward(ctx, upstream):
            (x,) = ctx.saved_tensors
            with torch.enable_grad():
                point = x.detach().requires_grad_()
                return torch.autograd.grad(backward(point), point, upstream)[0]

    return Replaced.apply


@alternative(EOT, label="bpda by detach")
def bpda(module, backward):
    def wrapped(x):
        smooth = backward(x)
        with torch.no_grad():
            value = module(x)
        return smooth + (value - smooth).detach()

    return wrapped


@alternative(EOT, label="bpda as a module with a hook on the gradient")
def bpda(module, backward):
    class Wrapped(nn.Module):
        def forward(self, x):
            value = module(x.detach()).detach()
            if not torch.is_grad_enabled() or not x.requires_grad:
                return value
            smooth = backward(x)
            return value + (smooth - smooth.detach())

    return Wrapped()


@alternative(EOT, label="one graph for all draws")
def eot_gradient(model, transform, x, y, n, gen):
    leaf = x.detach().clone().requires_grad_()
    modes = {m: m.training for m in model.modules()}
    model.eval()
    with torch.enable_grad():
        losses = []
        for _ in range(n):
            seed = int(torch.randint(0, 2**31, (1,), generator=gen))
            losses.append(F.cross_entropy(model(transform(leaf, seed)), y, reduction="sum"))
        (g,) = torch.autograd.grad(torch.stack(losses).mean(), leaf)
    for m, mode in modes.items():
        m.training = mode
    return g
