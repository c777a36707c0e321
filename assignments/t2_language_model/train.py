"""Nothing in, lm.npz and lm.json out: `python -m assignments.t2_language_model.train` trains the shipped language models.

This stays out of data/, which students get: it uses the reference's definitions. The text is the toy grammar's, made by
data/grammar.py from a seed; the models read single characters.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from solutions.t2_language_model import CachedLM, LMConfig, get_batch

DATA = Path(__file__).parent / "data"
CTX = 96


@dataclass(frozen=True)
class Recipe:
    """How one model is made, and from which seed."""

    d_model: int
    n_heads: int
    n_layers: int
    positions: str
    steps: int
    seed: int


RECIPES = {
    "large": Recipe(d_model=64, n_heads=4, n_layers=2, positions="rope", steps=500, seed=0),
    "small": Recipe(d_model=32, n_heads=2, n_layers=1, positions="rope", steps=300, seed=1),
}


def grammar() -> ModuleType:
    """Return the module that makes the text."""
    spec = importlib.util.spec_from_file_location("t2_grammar", DATA / "grammar.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def texts() -> tuple[list[str], Tensor, Tensor]:
    """Return the characters, a text to train on (300,000 of them) and another one to judge by (20,000)."""
    train, val = grammar().corpus(300_000, 0), grammar().corpus(20_000, 1)
    letters = sorted(set(train))
    number = {c: i for i, c in enumerate(letters)}
    return letters, torch.tensor([number[c] for c in train]), torch.tensor([number[c] for c in val])


def train(recipe: Recipe, steps: int | None = None) -> tuple[CachedLM, list[float]]:
    """Train a model from its seed, on one thread; return it with the losses of all steps. `steps` breaks off early."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    gen = torch.Generator().manual_seed(recipe.seed)
    letters, text, _ = texts()
    model = CachedLM(LMConfig(recipe.d_model, recipe.n_heads, recipe.n_layers, len(letters), 256, recipe.positions))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.01)
    losses = []
    for step in range(recipe.steps if steps is None else steps):
        for group in optimiser.param_groups:
            group["lr"] = 6e-3 * min(1.0, (step + 1) / 30) * (1 - 0.95 * step / recipe.steps)
        x, y = get_batch(text, 16, CTX, gen)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(round(loss.item(), 4))
    return model.eval(), losses


def quality(model: CachedLM) -> float:
    """Return the loss on text that no model was trained on, in nats per character."""
    _, _, val = texts()
    windows = val[: (len(val) - 1) // CTX * CTX + 1]
    with torch.no_grad():
        logits = model(windows[:-1].view(-1, CTX))
        return round(float(F.cross_entropy(logits.flatten(0, 1), windows[1:])), 4)


def main() -> None:
    """Train both models; write the weights in half precision, and what they achieve with them."""
    weights, said = {}, {}
    for name, recipe in RECIPES.items():
        model, losses = train(recipe)
        model.load_state_dict({key: p.half().float() for key, p in model.state_dict().items()})
        weights |= {f"{name}/{key}": p.half().numpy() for key, p in model.state_dict().items()}
        said[name] = {**asdict(recipe), "first losses": losses[:20], "validation loss": quality(model)}
    np.savez_compressed(DATA / "lm.npz", **weights)
    (DATA / "lm.json").write_text(json.dumps({"letters": "".join(texts()[0]), **said}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
