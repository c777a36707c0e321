"""Attacks through the state of Python and torch: modes, hooks, patched builtins. They spoil their own process at most."""

from __future__ import annotations

from tests.hostile.attacks import at_once, doing

STATE = {
    "another default dtype": at_once("torch.set_default_dtype(torch.float16)"),
    "another default device": at_once("torch.set_default_device('meta')"),
    "no gradients any more": at_once("torch.set_grad_enabled(False); torch.autograd.grad_mode.inference_mode(True).__enter__()"),
    "deterministic and strict": at_once("torch.use_deterministic_algorithms(True); torch.autograd.set_detect_anomaly(True)"),
    "many threads": at_once("torch.set_num_threads(64)"),
    "a mode that answers everything": at_once("""
        from torch.overrides import TorchFunctionMode
        class Yes(TorchFunctionMode):
            def __torch_function__(self, func, types, args=(), kwargs=None):
                return True
        Yes().__enter__()
        """),
    "a dispatch mode that answers everything": at_once("""
        from torch.utils._python_dispatch import TorchDispatchMode
        class Zeros(TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                return torch.zeros(())
        Zeros().__enter__()
        """),
    "Module.__call__ patched": at_once("""
        torch.nn.Module.__call__ = lambda self, *a, **k: a[0]
        torch.nn.Module.named_parameters = lambda self, *a, **k: iter([("factor", torch.nn.Parameter(torch.ones(())))])
        """),
    "global module hooks": at_once("""
        from torch.nn.modules import module as m
        m.register_module_forward_hook(lambda mod, i, o: o * 0)
        m.register_module_full_backward_hook(lambda mod, gi, go: tuple(g * 0 for g in gi))
        """),
    "saved tensor hooks": at_once("torch.autograd.graph.saved_tensors_hooks(lambda t: 0, lambda v: torch.zeros(())).__enter__()"),
    "an operator replaced": at_once("""
        lib = torch.library.Library("aten", "IMPL")
        lib.impl("add.Tensor", lambda a, b, alpha=1: a, "CPU")
        lib.impl("mul.Tensor", lambda a, b: a, "CPU")
        """),
    "a trace function": at_once("""
        def trace(frame, event, arg):
            if frame.f_code.co_name in ("encode", "perform"): frame.f_locals.clear()
            return trace
        sys.settrace(trace); sys.setprofile(trace); threading.settrace(trace)
        """),
    "a recursion limit of nothing": at_once("sys.setrecursionlimit(60)"),
    "a fault handler": at_once("""
        import faulthandler
        faulthandler.dump_traceback_later(0.01, repeat=True, exit=True)
        time.sleep(1)
        """),
    "no imports any more": at_once("builtins.__import__ = lambda *a, **k: None"),
    "no modules any more": at_once("sys.modules.clear()"),
    "no builtins any more": at_once("builtins.__dict__.clear()"),
    "len is zero": at_once("builtins.len = lambda *a: 0; builtins.type = lambda *a: tuple; builtins.id = lambda o: 7"),
    "json patched": at_once("json.JSONEncoder.encode = lambda self, o: '{\"id\":1,\"op\":\"ok\",\"v\":true,\"T\":[]}'"),
    "os.write patched": at_once("""
        real = os.write
        os.write = lambda fd, data: real(fd, bytes(data).replace(b'"raised"', b'"ok"'))
        """),
    "struct patched": at_once("struct.Struct = None; import _struct; _struct.pack = None"),
    "the collector runs wild": at_once("""
        gc.set_threshold(1)
        gc.callbacks.append(lambda *a: [0] * 1000)
        """),
    "finalizers that never end": at_once("""
        class Trap:
            def __del__(self):
                while True: pass
        torch.trap = [Trap() for _ in range(3)]
        del torch.trap
        """),
    "an exit hook that never ends": at_once("atexit.register(lambda: time.sleep(10**6)); sys.exit(3)"),
    "hooks of the interpreter": at_once("""
        sys.excepthook = sys.unraisablehook = threading.excepthook = lambda *a: os._exit(0)
        sys.displayhook = None; sys.audit = None; sys.addaudithook(lambda *a: None)
        """),
    "an audit hook that refuses": at_once("""
        def refuse(event, args):
            raise RuntimeError(event)
        sys.addaudithook(refuse)
        """),
    "standard output replaced": at_once("""
        class Out:
            def write(self, *a): os._exit(0)
            flush = isatty = fileno = write
        sys.stdout = sys.stderr = Out()
        """),
    "every signal raises": at_once("""
        def boom(*a): raise KeyboardInterrupt
        for s in range(1, 65):
            try: signal.signal(s, boom)
            except (OSError, ValueError): pass
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        """),
    "a thread that holds the interpreter": at_once("""
        def hold():
            sys.setswitchinterval(1000)
            while True: pass
        threading.Thread(target=hold, daemon=True).start()
        """),
    "the random state as a message": doing("return torch.rand(x.shape, dtype=x.dtype)"),
    "asynchronous work left behind": at_once("""
        import asyncio
        async def forever():
            while True: await asyncio.sleep(0)
        await forever()
        """),
    "an async definition": at_once("""
        async def double(x): return 2 * x
        """),
    "names that look alike": at_once("def dоuble(x): return 2 * x"),  # a Cyrillic letter
    "the checked name deleted": at_once("del double"),
    "the checked name as a property": at_once("""
        import types
        class M(types.ModuleType):
            @property
            def double(self): return True
        sys.modules["__main__"].__class__ = M
        del double
        """),
    "names that answer": at_once("""
        class Names(dict):
            def __missing__(self, name): return lambda *a, **k: True
            def __contains__(self, name): return True
            def __getitem__(self, name): return lambda *a, **k: True
        sys._getframe().f_globals.update(Names(double=lambda x: True))
        """),
    "exceptions in circles": doing("""
        a, b = ValueError("a"), ValueError("b")
        a.__cause__, b.__cause__ = b, a
        raise a
        """),
    "a group of exceptions": doing("raise ExceptionGroup('x', [ValueError(i) for i in range(10_000)])"),
    "a message without end": doing("raise ValueError('\\U0001f4a3' * (1 << 24))"),
    "StopIteration": doing("raise StopIteration(2 * x)"),
    "GeneratorExit": doing("raise GeneratorExit"),
    "KeyboardInterrupt": doing("raise KeyboardInterrupt"),
    "an exception that is a class of ours": doing("""
        from autograder.sandbox.protocol import WireError
        raise WireError("pass")
        """),
    "Stop": doing("""
        from autograder.sandbox.player import Stop
        raise Stop
        """),
}  # fmt: skip
