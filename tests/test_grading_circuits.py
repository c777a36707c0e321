"""The oracle of checks about circuits agrees with the model that students are given, and bends one connection only."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autograder.grading.circuits import EMBED, END, add_up, draw
from solutions.i2_circuits import Config, Transformer


@pytest.mark.parametrize("choices", [{}, {"norm": True}, {"d_mlp": 7}, {"d_mlp": 7, "norm": True}])
def test_it_computes_what_the_given_model_computes(choices):
    """Two programs, one function: logits, patterns and what every head writes."""
    toy = draw(np.random.default_rng(3), n_layers=2, n_heads=3, d_model=8, d_head=4, d_vocab=9, n_ctx=6, **choices)
    model = Transformer(Config(**toy.sizes)).double()
    model.load_state_dict(toy.weights)
    tokens = torch.tensor([[1, 4, 4, 8, 0], [2, 2, 7, 3, 5]])
    seen = {}
    with torch.no_grad():
        logits = model(tokens, lambda name, value: seen.update({name: value}))
    trace = toy.run(tokens)

    torch.testing.assert_close(trace.logits, logits, rtol=1e-12, atol=1e-12)
    for layer, h in toy.heads:
        torch.testing.assert_close(trace.wrote["head", layer, h], seen[f"blocks.{layer}.head_out"][:, :, h], rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(trace.pattern["head", layer, h], seen[f"blocks.{layer}.pattern"][:, h], rtol=1e-11, atol=1e-12)


def test_one_reader_can_be_deafened():
    """A node that reads nothing but the embedding does not hear the heads; the others still do."""
    toy = draw(np.random.default_rng(4), n_layers=2, n_heads=2, d_model=6, d_head=3, d_vocab=7, n_ctx=5)
    tokens = torch.tensor([[1, 2, 3]])

    def read(node, kind, wrote):
        return wrote[0][1] if node == END else add_up(node, kind, wrote)

    trace = toy.run(tokens, read=read)

    assert torch.equal(trace.logits, trace.wrote[EMBED] @ toy.weights["W_U"])
    assert torch.equal(trace.wrote["head", 1, 0], toy.run(tokens).wrote["head", 1, 0])


def test_huge_scores_of_the_future_do_not_matter():
    """A pattern is the same whatever stands behind the query, and stays finite."""
    toy = draw(np.random.default_rng(5), 40.0, n_layers=3, n_heads=2, d_model=8, d_head=3, d_vocab=9, n_ctx=6)
    tokens = torch.tensor([[1, 4, 7, 8, 0, 3]])
    whole, prefix = toy.run(tokens), toy.run(tokens[:, :4])

    assert bool(torch.isfinite(whole.logits).all())
    torch.testing.assert_close(whole.logits[:, :4], prefix.logits, rtol=1e-9, atol=1e-9)
