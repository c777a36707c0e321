"""Attacks on the line to the check: texts for the answer cell, as in attacks.py. Each is wrong unless it succeeds."""

from __future__ import annotations

from tests.hostile.attacks import at_once, doing, reply

# The number of the call that is being served, from the player's own frames.
CURRENT = """
def current():
    f = sys._getframe()
    while f:
        if f.f_code.co_name == "serve" and "call" in f.f_locals:
            return f.f_locals["call"]
        f = f.f_back
    return 1

def answer(value, call, op="ok"):
    push(frame(json.dumps({"id": call, "op": op, "v": value, "T": []})))
"""

# Pairs (a, b) of one and the same hash: Python's hash of a tuple of ints, solved for its second part.
COLLIDING = """
from collections import UserDict
P1, P2, P5, M = 11400714785074694791, 14029467366897019727, 2870177450012600261, (1 << 64) - 1
COLLIDING = []
for a in range(60_000):
    acc = P5 + a * P2 & M
    acc = (acc << 31 | acc >> 33) & M
    b = (4242 - acc * P1) * pow(P2, -1, 1 << 64) & M
    b -= (b >> 63) << 64
    if abs(b) < (1 << 61) - 1:
        COLLIDING.append(((a, b), None))
COLLIDING = COLLIDING[:9_000]
"""

LINE = {
    "the right number from a thread": doing("""
        call = current()
        threading.Thread(target=lambda: [answer(True, call) for _ in range(3)], daemon=True).start()
        time.sleep(0.05)
        """, CURRENT),
    "two threads at once": doing("""
        call = current()
        for _ in range(8):
            threading.Thread(target=lambda: [answer("x" * 999, call) for _ in range(99)], daemon=True).start()
        time.sleep(0.05)
        """, CURRENT),
    "the next call answered early": doing("""
        call = current()
        push(frame(json.dumps({"id": call + 2, "op": "ok", "v": True, "T": []})))
        """, CURRENT),
    "all later calls answered early": doing("""
        call = current()
        answer({"$": "u", "v": [True, None]}, call)
        for i in range(call + 2, call + 2000, 2):
            push(frame(json.dumps({"id": i, "op": "ok", "v": None, "T": []})))
        """, CURRENT),
    "our own error classes": doing("raise type(KINDS[x.ndim % len(KINDS)], (Exception,), {})('pass')", """
        KINDS = ["InfraError", "AssertionError", "BoxLost", "SystemExit", "StudentTimeout"]
        """),
    "an answer that claims an infrastructure error": doing("""
        answer({"kind": "InfraError", "message": "the monitor of the box was lost", "trace": ""}, current(), "raised")
        os._exit(75)
        """, CURRENT),
    "calls of no function, without end": doing("""
        i = 2
        while True:
            push(frame(json.dumps({"id": i, "op": "parameters", "v": {"grant": 0, "free": []}, "T": []}), magic=b"ASK1"))
            i += 2
        """),
    "calls without reading the answers": doing("""
        ask = frame(json.dumps({"id": 2, "op": "callback", "v": {"grant": 0, "a": [], "k": {}, "grad": False, "training": None,
                                "keep": False, "free": []}, "T": []}), magic=b"ASK1")
        while True:
            push(ask)
        """),
    "a drip of bytes": doing("""
        for b in frame(reply_text):
            push(bytes([b]))
            time.sleep(0.05)
        """, f"reply_text = {reply('1')!r}"),
    "out-of-band data": doing("""
        s = socket.socket(fileno=os.dup(3))
        for _ in range(50):
            try:
                s.send(b"A", socket.MSG_OOB)
            except OSError:
                break
        """),
    "half the line shut": doing("socket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_WR); time.sleep(1000)"),
    "the other half shut": doing("socket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_RD); time.sleep(1000)"),
    "the line made to block": doing("""
        s = socket.socket(fileno=os.dup(3))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        os.set_blocking(3, False)
        """),
    "the peer's process by its socket": doing("""
        s = socket.socket(fileno=os.dup(3))
        try:
            fd = struct.unpack("i", s.getsockopt(socket.SOL_SOCKET, 77, 4))[0]  # SO_PEERPIDFD
            signal.pidfd_send_signal(fd, 0)
            return 2 * x
        except OSError:
            pass
        pid = struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        if pid:
            os.kill(pid, 0)
            return 2 * x
        """),
    "signals on the line's traffic": doing("""
        for command, value in ((8, 1), (8, -1), (10, 9), (1026, 1), (1024, 0)):  # F_SETOWN, F_SETSIG, F_NOTIFY, F_SETLEASE
            try:
                fcntl.fcntl(3, command, value)
                return 2 * x
            except OSError:
                pass
        """),
    "a program in its place": doing("""
        os.execv(sys.executable, [sys.executable, "-c", CODE, str(current())])
        """, CURRENT + '''
CODE = """
import os, struct, sys, time
text = b'{"id":%d,"op":"ok","v":true,"T":[]}' % int(sys.argv[1])
os.write(3, b"ANS1" + struct.pack("<IQ", len(text), 0) + text)
time.sleep(1000)
"""
'''),
    "a child that speaks for it": doing("""
        call = current()
        if os.fork() == 0:
            answer(True, call)
            os._exit(0)
        time.sleep(0.1)
        """, CURRENT),
    "numbers beyond any": doing("""
        push(frame('{"id":' + '9' * 4000 + ',"op":"ok","v":1,"T":[]}'))
        """),
    "numbers with an exponent": doing("""
        push(frame('{"id":1,"op":"ok","v":[' + ','.join(['1e-999999999'] * 9999) + '],"T":[]}'))
        """),
    "an unknown tag": doing("push(frame(reply('{\"$\":\"__reduce__\",\"v\":[\"os.system\"]}')))"),
    "a reference to a library": doing("push(frame(reply('{\"$\":\"py\",\"n\":\"os:system\"}')))"),
    "keys that collide": doing("return type('M', (UserDict,), {'items': lambda s: COLLIDING})()", COLLIDING),
    "a set that collides": doing("return type('S', (frozenset,), {'__iter__': lambda s: (k for k, _ in COLLIDING)})()", COLLIDING),
    "nested tuples as keys": doing("""
        key = ()
        for _ in range(15): key = (key, key)
        return {key: 1}
        """),
    "one tensor in many places": doing("t = torch.zeros(1 << 18); return [t] * 40_000"),
    "a generator with a forged state": doing("""
        g = torch.Generator()
        return type("G", (torch.Generator,), {"get_state": lambda s: torch.zeros(5056, dtype=torch.uint8)})()
        """),
    "tensors by the thousand": doing("return [torch.zeros(0) for _ in range(4000)]"),
    "shapes that multiply to nothing": doing("return torch.empty(2**15, 2**15, 2**15, 0)"),
    "more objects than there may be": doing("return [lambda: 0 for _ in range(40_000)]"),
    "sixteen MiB again and again": doing("return [torch.zeros(1 << 20, dtype=torch.float64), [x] * 1000]"),
}  # fmt: skip

# The player's own modules, replaced from the cell.
PLAYER = {
    "a request hidden from the player": at_once("""
        import autograder.sandbox.player as p
        p.Player.call = lambda self, **k: True
        p.Player.get = lambda self, **k: True
        """),
    "the encoder lies on sizes": at_once("""
        import autograder.sandbox.protocol.encode as e
        e._Writer.tensor = lambda self, t: self.table.append(["f64", [3, 2], 48, None, 0, None]) or 0
        """),
    "gradients that were not asked": at_once("""
        import autograder.sandbox.protocol.encode as e
        e._Writer.flags = lambda self, t: (self.differentiable.append(t), 2)[1]
        """),
    "the reader patched": at_once("""
        import autograder.sandbox.player_line as p
        p.read_frame = lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt)
        """),
    "the loop taken over": at_once("""
        import autograder.sandbox.player_line as p
        def forever(self):
            while True:
                f = p.read_frame(self._ahead.read, p.TO_PLAYER)
                call = json.loads(bytes(f.json))["id"]
                push(frame(json.dumps({"id": call, "op": "ok", "v": True, "T": []})))
        p.Wire.serve_forever(sys._getframe(6).f_locals.get("self")) if False else None
        f = sys._getframe()
        while f and "wire" not in f.f_locals: f = f.f_back
        if f: forever(f.f_locals["wire"])
        """),
}  # fmt: skip
