"""digits.npz in, models.npz and models.json out: `python -m assignments.r1_adversarial_attacks.train` trains the shipped networks.

This stays out of data/, which students get: adversarial training contains the answer to an exercise. digits.npz holds the
1,797 images of the UCI ML hand-written digits (Alpaydin and Kaynak 1998, CC BY 4.0), as scikit-learn 1.9 distributes them;
the first 1,200 are for training, the rest are for testing.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from solutions.r1_adversarial_attacks import DigitsNet, pgd

DATA = Path(__file__).parent / "data"
N_TRAIN = 1200


@dataclass(frozen=True)
class Recipe:
    """How one network is made. eps: of the attack it is trained against, 0 for ordinary training."""

    width: int
    epochs: int
    eps: float
    seed: int


RECIPES = {
    "natural": Recipe(width=16, epochs=20, eps=0.0, seed=0),
    "robust": Recipe(width=16, epochs=20, eps=0.15, seed=0),
    "surrogate": Recipe(width=12, epochs=15, eps=0.0, seed=1),
}


def digits() -> tuple[Tensor, Tensor]:
    """Return all images (n 1 8 8) in [0, 1] and their labels (n)."""
    with np.load(DATA / "digits.npz", allow_pickle=False) as file:
        return torch.from_numpy(file["images"]).float()[:, None] / 16, torch.from_numpy(file["labels"]).long()


def train(recipe: Recipe) -> DigitsNet:
    """Train a network from its seed, on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    gen = torch.Generator().manual_seed(recipe.seed)
    images, labels = digits()
    model = DigitsNet(recipe.width)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(recipe.epochs):
        for part in torch.randperm(N_TRAIN, generator=gen).split(64):
            x, y = images[part], labels[part]
            if recipe.eps:
                x = pgd(model, x, y, recipe.eps, recipe.eps / 2, 3, 1, math.inf, gen)
            optimiser.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimiser.step()
    return model.eval()


def quality(model: DigitsNet) -> dict[str, float]:
    """Return the accuracy on the test images, as they are and under 20 steps of PGD."""
    images, labels = digits()
    x, y = images[N_TRAIN:], labels[N_TRAIN:]
    found = {}
    for eps in (0.0, 0.05, 0.1, 0.15, 0.2):
        gen = torch.Generator().manual_seed(0)
        points = pgd(model, x, y, eps, eps / 4, 20, 1, math.inf, gen) if eps else x
        with torch.no_grad():
            found[f"eps {eps:g}"] = round(float((model(points).argmax(1) == y).double().mean()), 4)
    return found


def main() -> None:
    """Train every network and write the weights and what they achieve."""
    models = {name: train(recipe) for name, recipe in RECIPES.items()}
    weights = {f"{name}/{key}": p.numpy() for name, model in models.items() for key, p in model.state_dict().items()}
    np.savez_compressed(DATA / "models.npz", **weights)
    said = {name: {**vars(RECIPES[name]), "accuracy": quality(model)} for name, model in models.items()}
    (DATA / "models.json").write_text(json.dumps(said, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
