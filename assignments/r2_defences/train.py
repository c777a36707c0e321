"""Nothing in, data/moons.npz and moons.json out: `python -m assignments.r2_defences.train` trains the 20 small networks.

Networks 2-8-8-2 on the two moons, one per seed: what a bound is tried on when it shall be tight on networks that somebody
trained, and not only on random ones. digits.npz is the file of r1_adversarial_attacks, which says where it comes from.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

DATA = Path(__file__).parent / "data"
N_NETS = 20


def moons(n: int, gen: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw n points (n 2) of two interleaved half circles, with normal noise of 0.1, and their labels (n)."""
    y = torch.arange(n) % 2
    angle = torch.pi * torch.rand(n, generator=gen)
    x = torch.stack([torch.cos(angle), torch.sin(angle)], 1)
    x = torch.where(y[:, None] == 0, x, torch.tensor([1.0, 0.5]) - x)
    return x + 0.1 * torch.randn(n, 2, generator=gen), y


def train(seed: int) -> nn.Sequential:
    """Train one network from its seed, on one thread."""
    torch.set_num_threads(1)
    gen = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.rand(p.shape, generator=gen) * 1.4 - 0.7)
    x, y = moons(200, gen)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimiser.step()
    return net


def quality(net: nn.Sequential) -> float:
    """Return the accuracy on 1,000 points that no network was trained on."""
    x, y = moons(1000, torch.Generator().manual_seed(10**6))
    with torch.no_grad():
        return round(float((net(x).argmax(1) == y).double().mean()), 4)


def main() -> None:
    """Train every network and write the weights and what they achieve."""
    nets = [train(seed) for seed in range(N_NETS)]
    weights = {f"{k}/{name}": p.detach().numpy() for k, net in enumerate(nets) for name, p in net.state_dict().items()}
    np.savez_compressed(DATA / "moons.npz", **weights)
    (DATA / "moons.json").write_text(json.dumps({"accuracy": [quality(net) for net in nets]}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
