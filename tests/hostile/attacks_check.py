"""Attacks on the checks: what a check lends, iterates, differentiates or keeps. By exercise of the rich course, then by name."""

from __future__ import annotations

_MODEL = "def attack(model, x):\n    x = (x + 1).detach().requires_grad_()\n"
_END = "    return y.detach(), x.grad\n"

ATTACK = {
    "the model asked twice": _MODEL + "    y = model(x)\n    model(x)\n    y.sum().backward()\n" + _END,
    "the model asked again, and no word of it": _MODEL
    + "    try: model(x * 0)\n    except BaseException: pass\n    y = model(x)\n    y.sum().backward()\n"
    + _END,
    "the model asked without end": "def attack(model, x):\n    while True: model(x)\n",
    "the model asked with gradients without end": (
        "def attack(model, x):\n    kept = []\n    while True: kept.append(model(x.clone().requires_grad_()))\n"
    ),
    "the largest queries without end": (
        "def attack(model, x):\n    big = torch.zeros(1 << 20, 2).double()\n    while True:\n"
        "        try: model(big)\n        except Exception: pass\n"
    ),
    "queries of many rows": "def attack(model, x):\n    while True: model(x.repeat(100_000, 1) + 1)\n",
    "objects by the thousand as a query": (
        "def attack(model, x):\n    while True:\n        try: model([lambda: 0 for _ in range(9_000)])\n        except Exception: pass\n"
    ),
    "the model given to itself": "def attack(model, x):\n    return model(model), model(attack)\n",
    "a query that asks back": (
        "class Q:\n    def __iter__(self):\n        while True: yield 1\n    def __call__(self, *a): return model_(self)\n"
        "def attack(model, x):\n    global model_\n    model_ = model\n    return model(iter(Q())), model(Q())\n"
    ),
    "the model called with other words": "def attack(model, x):\n    return model(x, out=x, log=print), model(self=x)\n",
    "the model called by a thread": (
        "import threading\ndef attack(model, x):\n    found = []\n"
        "    t = threading.Thread(target=lambda: found.append(model(x + 1)))\n    t.start(); t.join()\n    return found[0], x\n"
    ),
    "a backward without end": (
        "class F(torch.autograd.Function):\n    @staticmethod\n    def forward(c, v): return v * 1\n"
        "    @staticmethod\n    def backward(c, g):\n        while True: pass\n"
        "def attack(model, x):\n    y = model(x + 1)\n    return F.apply(x.requires_grad_()), F.apply(x)\n"
    ),
    "the backward asked a thousand times": (
        _MODEL + "    y = model(x)\n    for _ in range(10**6): y.sum().backward(retain_graph=True)\n" + _END
    ),
    "gradients of another shape": (
        _MODEL + "    y = model(x)\n    x.grad = torch.zeros_like(x)\n    y.backward(torch.full_like(y, float('nan')))\n" + _END
    ),
    "an answer that is the model": "def attack(model, x):\n    return model, model\n",
    "the check's own error hidden": (
        "def attack(model, x):\n    for bad in (None, 'x', 10**99, [x], {'a': x}, x.to_sparse(), x.half(), x[:0], x + 9):\n"
        "        try: model(bad)\n        except BaseException: pass\n"
        "    x = (x + 1).detach().requires_grad_()\n    y = model(x)\n    y.sum().backward()\n    return y.detach(), x.grad\n"
    ),
    "recursion through the check": (
        "def attack(model, x):\n    class T:\n        def __init__(self, d): self.d = d\n"
        "        def __call__(self, *a): return attack(model, x)\n    return model(T(0)), model(T(1))\n"
    ),
}
ROWS = {
    "without end": "def rows(n):\n    i = 0\n    while True:\n        yield torch.full((2,), float(i))\n        i += 1\n",
    "large, without end": "def rows(n):\n    while True: yield torch.zeros(1 << 21)\n",
    "texts without end": "def rows(n):\n    while True: yield ['x' * 1000] * 900\n",
    "itself": "def rows(n):\n    g = None\n    def it():\n        while True: yield g\n    g = it()\n    return g\n",
    "never the next": "def rows(n):\n    yield torch.zeros(2)\n    while True: pass\n",
    "never the next, asleep": "import time\ndef rows(n):\n    yield torch.zeros(2)\n    time.sleep(10**6)\n",
    "not an iterator": "def rows(n):\n    return 3\n",
    "an iterator that lies": (
        "class rows:\n    def __init__(self, n): pass\n    def __iter__(self): return self\n    def __next__(self): return True, None\n"
    ),
    "an exit": "import os\ndef rows(n):\n    yield torch.zeros(2)\n    os._exit(0)\n",
    "StopIteration as a value": "def rows(n):\n    yield StopIteration\n    raise StopIteration\n",
    "one too many": "def rows(n):\n    for i in range(n + 1): yield torch.full((2,), float(i))\n",
    "a broken end": "def rows(n):\n    for i in range(n): yield torch.full((2,), float(i))\n    raise ValueError\n",
    "a length without end": "class rows(list):\n    def __init__(self, n): pass\n    def __len__(self): return 1 << 62\n",
}
_NET = "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.inner = nn.Linear(2, 2)\n"
_RIGHT = "    def forward(self, x):\n        return self.inner(x) * 3\n"
NET = {
    "a wrong gradient": (
        "class F(torch.autograd.Function):\n    @staticmethod\n    def forward(c, v): return v * 3\n"
        "    @staticmethod\n    def backward(c, g): return g\n" + _NET + "    def forward(self, x): return F.apply(self.inner(x))\n"
    ),
    "a gradient that raises": (
        "class F(torch.autograd.Function):\n    @staticmethod\n    def forward(c, v): return v * 3\n"
        "    @staticmethod\n    def backward(c, g): raise SystemExit\n"
        + _NET
        + "    def forward(self, x): return F.apply(self.inner(x))\n"
    ),
    "a gradient without end": (
        "class F(torch.autograd.Function):\n    @staticmethod\n    def forward(c, v): return v * 3\n"
        "    @staticmethod\n    def backward(c, g):\n        while True: pass\n"
        + _NET
        + "    def forward(self, x): return F.apply(self.inner(x))\n"
    ),
    "weights that are not used": _NET
    + "        self.w = nn.Linear(2, 2).requires_grad_(False)\n    def named_parameters(self, *a, **k):\n"
    "        return [('inner.weight', self.inner.weight), ('inner.bias', self.inner.bias)]\n"
    "    def forward(self, x): return self.w(x) * 3\n",
    "parameters without end": _NET
    + "    def named_parameters(self, *a, **k):\n        while True: yield 'inner.weight', self.inner.weight\n"
    + _RIGHT,
    "parameters by the thousand": _NET
    + "    def named_parameters(self, *a, **k):\n        return [(str(i), nn.Parameter(torch.zeros(0))) for i in range(4000)]\n"
    + _RIGHT,
    "other parameters each time": _NET
    + "    def named_parameters(self, *a, **k):\n        self.n = getattr(self, 'n', 0) + 1\n"
    "        return [(f'p{self.n}', nn.Parameter(torch.zeros(self.n)))]\n" + _RIGHT,
    "parameters of integers": _NET
    + "    def named_parameters(self, *a, **k):\n        return [('inner.weight', torch.zeros(2, 2).long()), ('inner.bias', None)]\n"
    + _RIGHT,
    "a state that lies": _NET + "    def state_dict(self, *a, **k): return {'inner.bias': 'x', 3: None}\n" + _RIGHT,
    "a step undone": _NET
    + "    def state_dict(self, *a, **k):\n        return {'inner.weight': self.inner.weight * 0, 'inner.bias': self.inner.bias * 0}\n"
    + _RIGHT,
    "a submodule that lies": _NET + "    def named_modules(self, *a, **k): return [('inner', nn.Identity())]\n" + _RIGHT,
    "no submodule": "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.a = nn.Linear(2, 2)\n    def forward(self, x): return self.a(x) * 3\n",
    "hooks that lie": _NET
    + "        self.inner.register_forward_hook = lambda h: (h(None, None, True), type('R', (), {'remove': lambda s: 0})())[1]\n"
    + _RIGHT,
    "hooks without end": _NET
    + "    def forward(self, x):\n        while True: self.inner(x)\n",
    "a module in itself": "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.inner = self\n"
    "    def forward(self, x): return x\n",
    "not a module": "class Net:\n    pass\n",
    "a module of the wrong kind": "def Net():\n    return nn.ReLU\n",
    "an exit when it is made": "import os\nclass Net(nn.Module):\n    def __init__(self): os._exit(0)\n",
    "double backward": "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.inner = nn.Linear(2, 2)\n"
    "    def forward(self, x):\n        y = self.inner(x) * 3\n"
    "        return torch.autograd.grad(y.sum(), x, create_graph=True)[0] if x.requires_grad else y * 0\n",
}  # fmt: skip

CHECK = {
    **{("attack", name): source for name, source in ATTACK.items()},
    **{("rows", name): source for name, source in ROWS.items()},
    **{("Net", name): source for name, source in NET.items()},
}
