"""Nothing in, data/model.npz and data/model.json out: `python -m assignments.i1_hooks_patching.train` trains the lesson's model.

The language is made up: a speaker's register, a person, a relation, then the object that is true of the person, in small letters
after "whisper" or "hush" and in capitals after "shout" or "yell". Fillers move the words about. A fifth of the facts is seen in
one register only, and tested in the other.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from solutions.i1_hooks_patching import ModelConfig, TinyGPT

DATA = Path(__file__).parent / "data"
SEED, STEPS, BATCH = 0, 1500, 128
QUIET, LOUD, FILLERS = ("whisper", "hush"), ("shout", "yell"), ("oh", "well", "so", "now")
PEOPLE = ("Ada", "Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Hal", "Ida", "Jo")
OBJECTS = {
    "lives-in": ("paris", "lagos", "quito", "delhi", "oslo"),
    "eats": ("figs", "rice", "soup", "cake", "plums"),
    "plays": ("chess", "harp", "golf", "drums", "flute"),
    "drives": ("tram", "truck", "boat", "sled", "moped"),
}
_THINGS = [thing for things in OBJECTS.values() for thing in things]
WORDS = ["<pad>", "<bos>", *QUIET, *LOUD, *FILLERS, *PEOPLE, *OBJECTS, *_THINGS, *(thing.upper() for thing in _THINGS)]
ID = {word: i for i, word in enumerate(WORDS)}
CONFIG = ModelConfig(d_vocab=len(WORDS), n_ctx=8, d_model=64, n_heads=4, d_head=16, d_mlp=128, n_layers=3)


def facts() -> dict[tuple[str, str], str]:
    """Draw which object each relation has for each person: every object for two of the ten."""
    draw = random.Random(SEED)
    return {(p, r): thing for r, things in OBJECTS.items() for p, thing in zip(draw.sample(PEOPLE, 10), things * 2, strict=True)}


def held_out() -> set[tuple[str, str, bool]]:
    """Choose the (person, relation, is loud) that are for testing only."""
    draw = random.Random(SEED + 1)
    return {(p, r, draw.random() < 0.5) for p, r in draw.sample(sorted(facts()), 8)}


def sentence(draw: random.Random, person: str, relation: str, loud: bool) -> tuple[list[str], str]:
    """Return the words up to the relation, and the object that should follow."""
    words = ["<bos>", draw.choice(LOUD if loud else QUIET), *draw.choices(FILLERS, k=draw.randint(0, 2)), person]
    words += [*draw.choices(FILLERS, k=draw.randint(0, 1)), relation]
    thing = facts()[person, relation]
    return words, thing.upper() if loud else thing


def batch(draw: random.Random, kinds: list[tuple[str, str, bool]], n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return n sentences padded on the right, the place of each relation, and the objects."""
    drawn = [sentence(draw, *draw.choice(kinds)) for _ in range(n)]
    tokens = torch.zeros(n, CONFIG.n_ctx, dtype=torch.int64)
    for row, (words, _) in zip(tokens, drawn, strict=True):
        row[: len(words)] = torch.tensor([ID[w] for w in words])
    last = torch.tensor([len(words) - 1 for words, _ in drawn])
    return tokens, last, torch.tensor([ID[thing] for _, thing in drawn])


def train(steps: int = STEPS) -> tuple[TinyGPT, list[float]]:
    """Train from the seed on one thread; return the model and the loss of every step."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    draw, model = random.Random(SEED + 2), TinyGPT(CONFIG)
    kinds = [(p, r, loud) for p, r in facts() for loud in (False, True) if (p, r, loud) not in held_out()]
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.3)
    losses = []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50, 2 * (1 - step / STEPS))
        tokens, last, wanted = batch(draw, kinds, BATCH)
        loss = F.cross_entropy(model(tokens)[torch.arange(BATCH), last], wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return model.eval(), losses


@torch.no_grad()
def quality(model: TinyGPT) -> dict[str, float]:
    """Return the share of right answers on facts in a register that was trained, and in the one that was not."""
    found = {}
    seen = [(p, r, loud) for p, r in facts() for loud in (False, True) if (p, r, loud) not in held_out()]
    for name, kinds in (("trained", seen), ("other register", sorted(held_out()))):
        tokens, last, wanted = batch(random.Random(SEED + 3), kinds, 1000)
        logits = model(tokens)[torch.arange(1000), last]
        found[name] = round(float((logits.argmax(1) == wanted).double().mean()), 4)
    return found


def main() -> None:
    """Train the model and write its weights, its words and facts, and what it achieves."""
    model, losses = train()
    np.savez_compressed(DATA / "model.npz", **{name: p.numpy() for name, p in model.state_dict().items()})
    told = {
        "config": {k: v for k, v in asdict(CONFIG).items() if k != "dtype"},
        "seed": SEED,
        "accuracy": quality(model),
        "first losses": [round(x, 4) for x in losses[:20]],
    }
    told |= {"words": WORDS, "facts": [[*fact, thing] for fact, thing in facts().items()], "held out": sorted(held_out())}
    (DATA / "model.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    print(told["accuracy"], losses[-1])


if __name__ == "__main__":
    main()
