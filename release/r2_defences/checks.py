"""Your functions in; an "ok" line, or an AssertionError that guesses the slip, out. Practice, never a score.

Every check tries a handful of small cases. The checks that score try many more: they attack what you trained, and search for
a point that breaks your bounds. So an "ok" here is encouragement, not proof. Needs torch only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Fn = Callable[..., Any]


def check_adversarial_step(adversarial_step: Fn) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).double()
    net[1].eval()  # a part in a mode of its own
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).double()
    other.load_state_dict(net.state_dict())
    opt, mine = (torch.optim.SGD(n.parameters(), lr=0.3) for n in (net, other))
    x, y = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1, 0])
    points, kept, modes = x + 0.5, x.clone(), []

    def attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        modes.extend(part.training for part in model.modules())
        F.cross_entropy(model(images + 1), labels).backward()
        return points

    stats = adversarial_step(net, opt, x, y, attack)
    logits = other(points)
    loss = -logits.log_softmax(1)[torch.arange(6), y].mean()
    loss.backward()
    mine.step()
    assert modes, "the attack was not called."
    assert len(modes) == 5, "the attack was called more than once."
    assert not any(modes), "during the attack some part of the model is in train mode: its batches change the statistics."
    assert torch.equal(x, kept), "x was changed in place."
    n_updates = int(net[1].num_batches_tracked)
    assert n_updates == 1, (
        f"batch norm's statistics were updated {n_updates} times, expected once (the step's own run, in train mode)."
    )
    for (name, p), q in zip(net.named_parameters(), other.parameters(), strict=True):
        guess = "Do gradients that the attack left in .grad count, or clean images?"
        assert torch.allclose(p, q, atol=1e-9), f"{name} after the step is {_few(p)}, not {_few(q)}. {guess}"
    assert net.training, "the model was in train mode and is left in eval mode."
    assert not net[1].training, "net[1] was in eval mode and is left in train mode. Each part has a mode of its own."
    assert isinstance(stats, dict), 'adversarial_step must return {"loss": ..., "accuracy": ...}.'
    assert type(stats["loss"]) is float, f'"loss" is a {type(stats["loss"]).__name__}, expected a plain float.'
    assert abs(stats["loss"] - loss.item()) < 1e-9, (
        f'"loss" is {stats["loss"]:.4f}, not {loss.item():.4f}: before the step, attacked images.'
    )
    right = float((logits.argmax(1) == y).double().mean())
    assert abs(stats["accuracy"] - right) < 1e-9, f'"accuracy" is {stats["accuracy"]}, not {right}: attacked images, the same run.'
    _ok("adversarial_step")


def check_trades_loss(trades_loss: Fn) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x = torch.tensor([[0.2, 0.5, 0.0], [1.0, 0.4, 0.7]], dtype=torch.float64)
    y, asked, modes = torch.tensor([0, 2]), [], []

    def note(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        asked.append(inputs[0].detach().clone())
        modes.append(model.training)

    net.register_forward_pre_hook(note)
    plain = F.cross_entropy(net(x), y)
    asked.clear()
    modes.clear()
    found = _tensor(trades_loss(net, x, y, 0.1, 0.0, 4, _gen()), "trades_loss", ())
    _near(
        found.detach(), plain.item(), "beta = 0: the loss is", "Then it is the clean cross-entropy. Does beta weigh the other term?"
    )
    for query in asked:
        gap = float((query - x).abs().max())
        assert gap < 0.1 + 1e-6, f"a query is {gap:.3f} away from x; eps is 0.1."
        assert float(query.min()) > -1e-6, f"a query has a pixel of {float(query.min()):.4f}. Is the start clipped to [0, 1] too?"
        assert float(query.max()) < 1 + 1e-6, (
            f"a query has a pixel of {float(query.max()):.4f}. Is the start clipped to [0, 1] too?"
        )
    assert modes[-2:] == [True, True], (
        "the model came in train mode; the last two runs, on x and on the attacked images, are in that mode."
    )
    assert not any(modes[:-2]), "the search asks the model in train mode."
    assert torch.equal(asked[-2], x), "the last run but one should be on x."
    points = asked[-1]
    value = _tensor(trades_loss(net, x, y, 0.1, 2.0, 4, _gen()), "trades_loss", ())
    p, q = net(x).softmax(1), net(points).softmax(1)
    right, turned = ((a * (a / b).log()).sum(1).mean() for a, b in ((p, q), (q, p)))
    got = (value - plain).item() / 2
    guess = "That is KL(attacked || clean)." if abs(got - turned.item()) < 1e-9 else ""
    guess = "Is it averaged over classes too?" if abs(got - right.item() / 3) < 1e-9 else guess
    assert abs(got - right.item()) < 1e-9, (
        f"beta = 2 adds 2 * {got:.6f} to the loss; KL(clean || attacked) is {right.item():.6f}. {guess}"
    )
    assert right > 1e-4, "the attacked images give almost the clean answer. Is the gradient at the start 0?"
    assert net[0].weight.grad is None, "trades_loss leaves gradients in the model's parameters."
    wanted = torch.autograd.grad(plain + 2 * right, net[0].weight)[0]
    (slope,) = torch.autograd.grad(value, net[0].weight)
    assert torch.allclose(slope, wanted, atol=1e-9), "the gradient by the weights is another one. Is one of the two runs detached?"
    _ok("trades_loss")


def check_spectral_norm(spectral_norm: Fn, lipschitz_bound: Fn, margin_radius: Fn) -> None:
    w = torch.tensor([[3.0, 0.0], [0.0, -4.0], [0.0, 0.0]], dtype=torch.float64)
    found = spectral_norm(w, 200)
    assert isinstance(found, float), f"spectral_norm returns a {type(found).__name__}, expected a float."
    guess = {5.0: "That is the Frobenius norm.", 16.0: "That is its square."}.get(round(found, 6), "")
    assert abs(found - 4) < 1e-6, f"spectral_norm of a matrix that stretches by 3 and 4 is {found:.4f}. {guess}"
    sums = torch.tensor([[1.0, -1.0], [2.0, -2.0]], dtype=torch.float64)
    found = spectral_norm(sums, 200)
    assert abs(found - math.sqrt(10)) < 1e-6, (
        f"spectral_norm of ((1, -1), (2, -2)) is {found:.4f}, not {math.sqrt(10):.4f}. Where does it start?"
    )
    blur = torch.full((1, 1, 3, 3), 1 / 9, dtype=torch.float64)
    units = torch.eye(16, dtype=torch.float64).reshape(16, 1, 4, 4)
    dense = F.conv2d(units, blur, padding=1).flatten(1)
    right, found = float(torch.linalg.svdvals(dense)[0]), spectral_norm(blur, 300, (1, 4, 4), 1, 1)
    guess = "That is the norm of the kernel as a matrix." if abs(found - 1 / 3) < 1e-6 else "Of the whole convolution."
    assert abs(found - right) < 1e-6, f"spectral_norm of a 3 x 3 blur on 4 x 4 images is {found:.4f}, not {right:.4f}. {guess}"
    assert spectral_norm(torch.zeros(2, 2), 3) == 0, "spectral_norm of a map that is 0 should be 0.0."
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.diag(torch.tensor([3.0, 1.0])))
        net[2].weight.copy_(torch.diag(torch.tensor([1.0, 5.0])))
    found = lipschitz_bound(net, (2,), 300)
    guess = dict.fromkeys((8.0, 9.0, 10.0), "Layers in a row multiply.").get(round(found, 6), "")
    assert abs(found - 15) < 1e-4, f"two layers of norms 3 and 5: lipschitz_bound is {found:.4f}, not 15. {guess}"
    _raises(
        TypeError, lambda: lipschitz_bound(nn.Sequential(nn.Linear(2, 2), nn.Softmax(1)), (2,), 5), "lipschitz_bound with softmax"
    )
    radius = _tensor(margin_radius(torch.tensor([[1.0, 5.0, 2.0]], dtype=torch.float64), 2.0), "margin_radius", (1,))
    guess = "How much can the difference of two logits change, when the vector of logits moves by 1?"
    _near(radius[0], 3 / (2 * 2**0.5), "logits (1, 5, 2), L = 2: the radius is", guess)
    _ok("spectral_norm, lipschitz_bound, margin_radius")


def check_ibp(ibp: Fn, ball_box: Fn) -> None:
    lo, hi = ball_box(torch.tensor([[0.05, 0.5, 0.98]], dtype=torch.float64), 0.1)
    _near(lo[0], [0.0, 0.4, 0.88], "ball_box: lo is", "A pixel cannot be negative.")
    _near(hi[0], [0.15, 0.6, 1.0], "ball_box: hi is", "A pixel cannot be above 1.")
    layer = nn.Linear(2, 2).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 1.0]]))
        layer.bias.copy_(torch.tensor([0.5, 0.0]))
    lo, hi = torch.tensor([[0.0, -1.0]], dtype=torch.float64), torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    low, high = ibp(nn.Sequential(layer), lo, hi)
    guess = "Row 0 is x0 - 2 x1 + 0.5: which corner makes it smallest?"
    _near(low[0], [-1.5, -1.0], "one linear layer: the lower bounds are", guess)
    _near(high[0], [3.5, 4.0], "one linear layer: the upper bounds are", guess)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).double()
    x = torch.rand(1, 1, 4, 4, dtype=torch.float64)
    low, high = ibp(net, x, x)
    _near(low[0], net(x)[0].tolist(), "a box that is one point: the lower bounds are", "Then they are the network's output.")
    low, high = ibp(net, x - 0.2, x + 0.2)
    assert low.requires_grad, "no gradient flows through the bounds."
    seen = net(x + 0.2 * (2 * torch.rand(2000, 1, 4, 4, dtype=torch.float64, generator=_gen()) - 1).sign())
    bad = int(((seen < low - 1e-9) | (seen > high + 1e-9)).any(1).sum())
    assert not bad, f"at {bad} of 2000 corners of the box an output lies outside of its bounds."
    _raises(TypeError, lambda: ibp(nn.Sequential(nn.Sigmoid()), lo, hi), "ibp with a sigmoid")
    _ok("ibp, ball_box")


def check_crown(crown: Fn) -> None:
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0], [1.0]]))
        net[0].bias.copy_(torch.tensor([0.5, 9.0]))  # in doubt for |x| < 1; surely on
        net[2].weight.copy_(torch.tensor([[1.0, 1.0]]))
        net[2].bias.copy_(torch.tensor([2.0]))
    x, one = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, 1, dtype=torch.float64)
    # The first ReLU's input is in [-0.5, 1.5]: below it lies z + 0.5 itself, so the bound is 2 + (z + 0.5) + (z + 9) at z = -1.
    found = _tensor(crown(net, x, 1.0, one), "crown", (1, 1)).detach()
    guess = {10.0: "The line 0 below the first ReLU: its u is larger than -l.", 7.5: "Is a bias dropped?"}.get(
        round(float(found), 6), ""
    )
    _near(found[0], [9.5], "crown of the first example is", guess or "Go through it by hand: one ReLU in doubt, one surely on.")
    # From above: 0.75 (z + 1) for the first one; -2 - 0.75 (z + 1) - (z + 9) at z = 1.
    _near(
        crown(net, x, 1.0, -one)[0],
        [-13.5],
        "crown with C = -1 is",
        "A falling coefficient needs the line above: through (l, 0) and (u, u).",
    )
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    x, C = torch.randn(3, 2, dtype=torch.float64), torch.randn(3, 4, 2, dtype=torch.float64)
    found = crown(net, x, 0.3, C)
    unit = torch.rand(4000, 1, 2, dtype=torch.float64, generator=_gen()) * 2 - 1
    least = torch.einsum("bmk,nbk->nbm", C, net(x + 0.3 * unit)).amin(0)
    assert (found <= least + 1e-9).all(), f"a point of the ball has {_few(least)}, the bounds are {_few(found)}: they do not hold."
    value = torch.einsum("bmk,bk->bm", C, net(x))
    assert torch.allclose(crown(net, x, 0.0, C), value), "eps = 0: the bound should be the value at x."
    close = float((value - crown(net, x, 1e-4, C)).detach().abs().max())
    assert close < 0.01, f"eps = 0.0001: the bound is {close:.3f} below the value at x. It should come close to it."
    _ok("crown")


def check_verify_exact(verify_exact: Fn) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
        net[0].bias.zero_()
        net[2].weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        net[2].bias.copy_(torch.tensor([1.0, 0.0]))
    x = torch.zeros(2, dtype=torch.float64)  # logit 1 passes that of label 0 where x0 is above 1/2, roughly
    found = verify_exact(net, x, 0.4, 0, 5000)
    assert isinstance(found, tuple), "verify_exact must return a pair: the verdict, and a point or None."
    assert found == ("robust", None), f"in the ball of radius 0.4 label 0 is right everywhere; the verdict is {found[0]!r}."
    verdict, point = verify_exact(net, x, 0.8, 0, 5000)
    assert verdict == "falsified", f"radius 0.8 holds mistakes, such as (0.7, 0); the verdict is {verdict!r}."
    z = _tensor(point, "the counterexample", (2,))
    assert float(z.abs().max()) <= 0.8 + 1e-9, f"the counterexample {_few(z)} is outside of the ball."
    logits = net(z[None])[0]
    assert logits[1] > logits[0], f"at the counterexample {_few(z)} the label has the larger logit."
    verdict, _ = verify_exact(net, x, 0.4, 0, 0)
    assert verdict == "timeout", f"budget = 0: the verdict is {verdict!r}, but nothing may be bounded."
    _ok("verify_exact")


def check_ibp_train(ibp_train: Fn) -> None:
    x, y = torch.rand(9, 3, dtype=torch.float64, generator=_gen()), torch.tensor([0, 1] * 4 + [0])
    start = {"0.weight": torch.randn(2, 3, dtype=torch.float64, generator=_gen()), "0.bias": torch.zeros(2, dtype=torch.float64)}

    def trained(**plan: Any) -> nn.Module:
        net = nn.Sequential(nn.Linear(3, 2)).double()
        net.load_state_dict(start)
        base = {"epochs": 1, "warm_up": 0, "ramp": 1, "kappa": 0.5, "batch": 9, "lr": 0.01, "seed": 0}
        before = torch.get_rng_state()
        ibp_train(net, (x, y), 0.1, SimpleNamespace(**(base | plan)))
        assert torch.equal(torch.get_rng_state(), before), (
            "torch's global generator has moved; the order should follow schedule.seed."
        )
        return net

    once = trained(kappa=1.0)
    moved = (once[0].weight - start["0.weight"]).detach().abs()
    assert float(moved.max()) > 0, "the weights do not move."
    assert torch.allclose(moved, torch.full_like(moved, 0.01), rtol=0.01), (
        f"Adam's first step moves each weight by lr = 0.01, not by {_few(moved)}."
    )
    warm = trained(epochs=3, warm_up=3, kappa=0.0)
    plain = trained(epochs=3, kappa=1.0)
    assert torch.allclose(warm[0].weight, plain[0].weight), "while e < warm_up the loss is the clean one: radius 0 and weight 1."
    two, ramped = trained(epochs=1, warm_up=0, ramp=1, kappa=0.0), trained(epochs=1, warm_up=0, ramp=2, kappa=0.0)
    assert torch.isfinite(two[0].weight).all(), "weights are not finite."
    assert torch.isfinite(ramped[0].weight).all(), "weights are not finite."
    long = trained(epochs=200, warm_up=2, ramp=20, lr=0.05, kappa=0.0)
    short = trained(epochs=200, lr=0.05, kappa=1.0)
    w_long, w_short = (float((n[0].weight[0] - n[0].weight[1]).abs().sum().detach()) for n in (long, short))
    guess = "Are the worst logits low for the label and high for the others, and does r reach 1?"
    assert w_long < 0.8 * w_short, (
        f"trained on the worst logits the weights should be smaller than without: {w_long:.1f} against {w_short:.1f}. {guess}"
    )
    _ok("ibp_train")


def check_noisy_counts(noisy_counts: Fn) -> None:
    x, sizes, copies = torch.tensor([1.0, 0.0]), [], []

    def f(z: Tensor) -> Tensor:
        sizes.append(len(z))
        copies.append(z.clone())
        return torch.stack([z[:, 0] - 1, 1 - z[:, 0], torch.full_like(z[:, 0], -9.0)], 1)

    counts = _tensor(noisy_counts(f, x, 1000, 0.5, 300, _gen()), "noisy_counts", (3,))
    assert counts.dtype == torch.int64, f"the counts have dtype {counts.dtype}, expected int64: votes, not averages."
    assert sum(sizes) == 1000, (
        f"n = 1000, batch = 300: the classifier was asked about {sum(sizes)} copies. The last batch is smaller."
    )
    assert max(sizes) <= 300, f"a batch of {max(sizes)}; the limit is 300."
    seen = torch.cat(copies)
    assert seen.max() > 1.5, "no copy has an entry above 1.5. Is the noise clipped?"
    assert int(counts.sum()) == 1000, f"the counts sum to {int(counts.sum())}, not to n = 1000."
    assert counts[0] == int((seen[:, 0] > 1).sum()), "the counts are not the votes of the copies that were asked about."
    noise = seen - x
    assert len(torch.unique(noise, dim=0)) == 1000, "copies share their noise. A new draw for each copy of each batch."
    spread = float(noise.std())
    assert abs(spread - 0.5) < 0.06, f"sigma = 0.5: the noise has standard deviation {spread:.2f}."
    _ok("noisy_counts")


def check_lower_confidence(lower_confidence: Fn, binomial_p: Fn) -> None:
    found = lower_confidence(10, 10, 0.05)
    guess = (
        "Two-sided? All of alpha belongs to one end."
        if abs(found - 0.025**0.1) < 1e-6
        else "Under which p has 10 of 10 probability 0.05?"
    )
    assert abs(found - 0.05**0.1) < 1e-9, f"lower_confidence(10, 10, 0.05) is {found:.6f}, not {0.05**0.1:.6f}. {guess}"
    assert lower_confidence(0, 10, 0.05) == 0, "after no success the bound is 0.0."
    p = lower_confidence(7, 10, 0.05)
    tail = sum(math.comb(10, i) * p**i * (1 - p) ** (10 - i) for i in range(7, 11))
    assert abs(tail - 0.05) < 1e-9, (
        f"lower_confidence(7, 10, 0.05) is {p:.4f}; there 7 or more of 10 have probability {tail:.4f}, not 0.05."
    )
    big = lower_confidence(99_000, 100_000, 0.001)
    assert 0.988 < big < 0.99, f"lower_confidence(99000, 100000, 0.001) is {big}. Do powers underflow? Work with logarithms."
    for k, n, right in ((8, 10, 112 / 1024), (2, 10, 112 / 1024), (5, 10, 1.0), (0, 0, 1.0), (3, 3, 0.25)):
        found = binomial_p(k, n)
        assert abs(found - right) < 1e-9, (
            f"binomial_p({k}, {n}) is {found:.6f}, not {right:.6f}: at least as far from n / 2, on both sides."
        )
    _ok("lower_confidence, binomial_p")


def check_certify(certify: Fn, predict: Fn) -> None:
    asked = []

    def half(z: Tensor) -> Tensor:
        asked.append(z.clone())
        return torch.stack([z[:, 0], -z[:, 0]], 1)

    x = torch.tensor([0.7, 0.0], dtype=torch.float64)  # 0.7 away from the boundary
    radii = []
    for seed in range(40):
        asked.clear()
        found = certify(half, x, 20, 200, 0.05, 1.0, 100, _gen(seed))
        assert isinstance(found, tuple), "certify must return a pair: class and radius."
        n_asked = sum(len(z) for z in asked)
        assert n_asked == 220, f"n0 = 20, n = 200: the classifier was asked about {n_asked} copies, expected 220."
        radii.append(found[1])
        assert found[0] in (0, -1), f"the class is {found[0]}, expected 0 (or -1 for an abstention)."
    over, mean = sum(r > 0.7 for r in radii), sum(radii) / 40
    guess = "Is the share of votes taken for the probability?"
    assert over <= 7, f"the boundary is 0.7 away; {over} of 40 radii are larger, alpha = 0.05. {guess}"
    assert mean > 0.4, (
        f"the mean radius is {mean:.3f}, the boundary is 0.7 away. Is it sigma times the quantile of the lower bound?"
    )
    edge = torch.zeros(2, dtype=torch.float64)
    found = [certify(half, edge, 20, 100, 0.001, 1.0, 100, _gen(s)) for s in range(10)]
    assert found.count((-1, 0.0)) >= 9, f"on the boundary certify returns {found[0]}; expected (-1, 0.0) nearly always."
    answers = [predict(half, edge, 100, 0.001, 1.0, 100, _gen(s)) for s in range(10)]
    assert answers.count(-1) >= 9, f"on the boundary predict returns {answers}, expected -1 nearly always."
    assert predict(half, 3 * x, 100, 0.001, 1.0, 100, _gen()) == 0, "far from the boundary predict should return 0."
    _ok("certify, predict")


def check_certified_curve(certified_curve: Fn) -> None:
    records = [(1, 1, 0.5), (2, 0, 3.0), (0, -1, 0.0), (3, 3, 1.0)]
    found = _tensor(certified_curve(records, [0.0, 0.5, 0.75, 2.0]), "certified_curve", (4,))
    guess = {
        0.75: "A wrong class with a large radius is still wrong.",
        2 / 3: "A share of all records, abstentions too.",
        1.0: "Wrong classes and abstentions count as nothing, in a share of all records.",
    }.get(float(found[0]), "")
    assert abs(float(found[0]) - 0.5) < 1e-9, f"2 of 4 records are right; at r = 0 the share is {float(found[0]):.3f}. {guess}"
    _near(found, [0.5, 0.5, 0.25, 0.0], "at r = 0, 0.5, 0.75, 2 the shares are", "At its own radius a record still counts.")
    _raises(ValueError, lambda: certified_curve([], [0.0]), "certified_curve of no record")
    _ok("certified_curve")


def _ok(names: str) -> None:
    print(f"ok  {names}")


def _gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _few(values: Tensor) -> str:
    return "(" + ", ".join(f"{float(v):.4g}" for v in values.detach().flatten()[:5]) + ")"


def _tensor(value: Any, what: str, shape: tuple[int, ...]) -> Tensor:
    assert value is not None, f"{what} is None. Did you forget `return`?"
    assert isinstance(value, Tensor), f"{what} is a {type(value).__name__}, expected a tensor."
    assert tuple(value.shape) == shape, f"{what} has shape {tuple(value.shape)}, expected {shape}."
    return value


def _near(got: Tensor, want: float | list[float], what: str, guess: str) -> None:
    expected = torch.tensor(want, dtype=torch.float64)
    _tensor(got, what, tuple(expected.shape))
    assert torch.allclose(got.double(), expected, rtol=0, atol=1e-6), f"{what} {_few(got)}, not {_few(expected)}. {guess}"


def _raises(error: type[Exception], call: Callable[[], Any], what: str) -> None:
    try:
        call()
    except error:
        return
    except Exception as other:
        raise AssertionError(f"{what} raises {type(other).__name__}. The docstring asks for {error.__name__}.") from None
    raise AssertionError(f"{what} raises nothing. The docstring asks for {error.__name__}.")
