"""Seeds in, data/models.npz and data/models.json out: `python -m assignments.i2_circuits.train` trains the shipped models.

Both are small attention-only transformers. This stays out of data/, which students get: the batches that they are trained
on are answers to exercises.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from solutions.i2_circuits import (
    TEMPLATES,
    VOCABULARY,
    Config,
    Transformer,
    ioi_dataset,
    logit_difference,
    repeated_batch,
)

DATA = Path(__file__).parent / "data"
CONFIGS = {
    "induction": Config(n_layers=2, n_heads=4, d_model=64, d_head=16, d_vocab=32, n_ctx=40),
    "shortcut": Config(n_layers=2, n_heads=4, d_model=64, d_head=16, d_vocab=32, n_ctx=40),
    "ioi": Config(n_layers=3, n_heads=4, d_model=48, d_head=12, d_vocab=len(VOCABULARY), n_ctx=16, norm=True),
}
STEPS = {"induction": 2500, "shortcut": 400, "ioi": 700}
SEEDS = {"induction": 0, "shortcut": 0, "ioi": 0}


def repeated_loss(model: Transformer, gen: torch.Generator, low: int = 4, high: int = 16) -> Tensor:
    """Return the loss at the predictable tokens of rows with a period of `low` to `high`."""
    tokens, _, mask = repeated_batch(64, 40, 32, low, high, gen)
    return F.cross_entropy(model(tokens)[:, :-1][mask[:, 1:]], tokens[:, 1:][mask[:, 1:]])


def ioi_loss(model: Transformer, gen: torch.Generator) -> Tensor:
    """Return the loss of the answer at the end of each prompt."""
    data = ioi_dataset(128, TEMPLATES, gen)
    return F.cross_entropy(model(data["clean"])[torch.arange(128), data["end"]], data["io"])


LOSSES: dict[str, Callable[[Transformer, torch.Generator], Tensor]] = {
    "induction": repeated_loss,
    "shortcut": partial(repeated_loss, low=8, high=8),  # one period for all: the place of the answer can be learned by heart
    "ioi": ioi_loss,
}


def train(name: str, steps: int | None = None) -> Transformer:
    """Train a model from its seed, on one thread; `steps` cuts the training short, the way there is the same."""
    torch.set_num_threads(1)
    torch.manual_seed(SEEDS[name])
    gen = torch.Generator().manual_seed(SEEDS[name])
    model = Transformer(CONFIGS[name])
    with torch.no_grad():
        for table in (model.W_E, model.W_pos):
            table.mul_(0.3)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(STEPS[name] if steps is None else steps):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min((step + 1) / 50, 1 - step / STEPS[name])
        optimiser.zero_grad()
        LOSSES[name](model, gen).backward()
        optimiser.step()
    return model


@torch.no_grad()
def quality(models: dict[str, Transformer]) -> dict[str, float]:
    """Return how well the models do on fresh data."""

    def repeats(name: str, low: int, high: int) -> float:
        tokens, _, mask = repeated_batch(500, 40, 32, low, high, torch.Generator().manual_seed(1000))
        right = models[name](tokens)[:, :-1].argmax(-1) == tokens[:, 1:]
        return round(float(right[mask[:, 1:]].double().mean()), 4)

    data = ioi_dataset(500, TEMPLATES, torch.Generator().manual_seed(1000))
    logits = models["ioi"](data["clean"])
    found = logits[torch.arange(500), data["end"]].argmax(-1) == data["io"]
    gap = logit_difference(logits, data["io"], data["s"], data["end"])
    return {
        "induction accuracy, periods 4 to 16": repeats("induction", 4, 16),
        "shortcut accuracy, period 8": repeats("shortcut", 8, 8),
        "shortcut accuracy, periods 4 to 16": repeats("shortcut", 4, 16),
        "ioi accuracy": round(float(found.double().mean()), 4),
        "ioi mean logit difference": round(float(gap.mean()), 3),
    }


def main() -> None:
    """Train, and write weights (float32) and a page about them."""
    models, seconds = {}, {}
    for name in CONFIGS:
        started = time.process_time()
        models[name] = train(name)
        seconds[name] = round(time.process_time() - started)
    weights = {f"{n}/{key}": w.numpy() for n, m in models.items() for key, w in m.state_dict().items()}
    np.savez_compressed(DATA / "models.npz", **weights)
    about = {
        "configs": {name: dataclasses.asdict(c) for name, c in CONFIGS.items()},
        "steps": STEPS,
        "seeds": SEEDS,
        "quality": quality(models),
        "made by": "python -m assignments.i2_circuits.train",
    }
    (DATA / "models.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    print(json.dumps(about["quality"]), seconds)


if __name__ == "__main__":
    main()
