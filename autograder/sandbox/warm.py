"""Nothing in, a warm interpreter out: what students' code imports and starts lazily is imported and started once.

A fixed list, never a model solution: unwarmed, each job would pay 0.3 to 0.7 s of CPU for the first optimizer
(torch._dynamo), the first torch.autograd.grad (symbolic shapes) and the first assert_close (sympy).
"""

from __future__ import annotations

import importlib
import io

_MODULES = """
abc argparse ast asyncio bisect collections contextlib copy csv dataclasses decimal enum fractions functools glob gzip
heapq inspect io itertools json linecache logging math multiprocessing operator os pathlib pickle pprint queue random
re secrets shutil statistics string struct subprocess sys tempfile textwrap threading time timeit traceback types
typing unittest urllib.parse uuid warnings weakref zipfile numpy numpy.linalg numpy.random einops einops.layers.torch
torch torch.nn.functional torch.utils.data torch.optim torch.optim.lr_scheduler torch.distributions torch.func
torch.nn.utils torch.nn.utils.parametrizations torch.fft torch.linalg torch.special torch.sparse torch.testing
torch.utils.checkpoint torch.nn.attention torch.multiprocessing
"""


def one_thread() -> None:
    """Keep torch to one thread; before its first operator, or a fork would lose the others."""
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)


def warm_up() -> None:
    """Import and exercise the libraries."""
    for name in _MODULES.split():
        importlib.import_module(name)
    _exercise_modules()
    _exercise_tensors()


def _exercise_modules() -> None:
    import torch
    from torch import nn

    layers = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.GELU(), nn.Dropout(0.1))
    for make in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        optimizer = make(layers.parameters(), lr=0.1)
        nn.functional.cross_entropy(layers(torch.randn(2, 4)), torch.tensor([0, 1])).backward()
        nn.utils.clip_grad_norm_(layers.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    layers.load_state_dict(layers.state_dict())
    torch.save(layers.state_dict(), saved := io.BytesIO())
    saved.seek(0)
    torch.load(saved)
    nn.TransformerEncoderLayer(8, 2, batch_first=True)(torch.randn(1, 2, 8)).sum().backward()
    nn.Conv2d(1, 2, 3)(torch.randn(1, 1, 8, 8)).sum().backward()
    nn.LSTM(2, 2)(torch.randn(2, 1, 2))
    repr(layers)


def _exercise_tensors() -> None:
    import einops
    import numpy as np
    import torch

    x = torch.randn(3, 4, requires_grad=True)
    torch.autograd.grad((x @ x.T).softmax(-1).sum(), x, create_graph=True)
    q = torch.randn(1, 2, 3, 4)
    torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)
    torch.testing.assert_close(x, x)
    torch.func.vmap(torch.sum)(x.detach())
    torch.einsum("ij,kj->ik", x, x)
    torch.linalg.svd(x.detach())
    einops.rearrange(x, "a b -> (a b)")
    einops.rearrange(x.detach().numpy(), "a b -> b a")
    np.linalg.svd(np.eye(3))
    np.random.default_rng(0).normal(size=3)
    torch.multinomial(torch.ones(4), 2, generator=torch.Generator())
    repr(x)
