"""An order and a notebook's bytes in, a reply out, once: the hidden checks, run in a process that can reach nothing.

A referee holds the checks, the references and the course seed, and reads what a player answers. So it stands behind walls
of its own: no network, no file but the interpreter, the engine and the course, none of them writable, no process, no
capability. What it wants opened, it asks the warden for.
"""

from __future__ import annotations

import os
import socket
from multiprocessing.connection import Connection
from typing import NoReturn

from autograder.errors import BootcampError, InfraError
from autograder.grading.admission import admit
from autograder.grading.bundle import Bundle
from autograder.grading.exchange import Costs, Found, Order, Reply
from autograder.grading.grade import Grader
from autograder.sandbox.box import Box, Slot
from autograder.sandbox.probes import attempt_here
from autograder.sandbox.tiers import meets
from autograder.sandbox.warden_line import RemoteWarden
from autograder.sandbox.zygote import LINE_FD, say_born
from autograder.submission.notebook import MAX_BYTES

_MAX_ORDER_BYTES = 64 << 20


def serve(bundle: Bundle | None, reference: Box | None, fault: str) -> NoReturn:
    """Take one order from the line, answer it, and end."""
    line = socket.socket(fileno=LINE_FD)
    say_born()
    _, (boxes,), _, _ = socket.recv_fds(line, 1, 1)
    pipe = Connection(line.detach())
    try:
        order = Order.model_validate_json(pipe.recv_bytes(_MAX_ORDER_BYTES))
        raw = pipe.recv_bytes(MAX_BYTES + (1 << 20))
    except (EOFError, OSError):
        os._exit(0)  # the controller has thought better of it
    reply = _reply(order, raw, socket.socket(fileno=boxes), bundle, reference, fault)
    pipe.send_bytes(reply.model_dump_json().encode())
    os._exit(0)


def _reply(order: Order, raw: bytes, boxes: socket.socket, bundle: Bundle | None, reference: Box | None, fault: str) -> Reply:
    try:
        slot = Slot(RemoteWarden(boxes))
    except InfraError as e:
        return Reply(refused=str(e))
    try:
        found = None if order.tier else _probe(slot, order)
    except InfraError as e:  # something of ours was lost on the way
        return Reply(fault=str(e), lost=True)
    slot.tier = found.tier if found else order.tier or "D"
    refused = _too_weak(order, slot, found)
    if refused or order.kind == "probe":
        return Reply(found=found, refused=refused)
    if bundle is None:
        return Reply(found=found, fault=fault)
    try:
        return _graded(order, raw, slot, bundle, reference).model_copy(update={"found": found})
    except BootcampError as e:
        return Reply(found=found, fault=str(e))
    except Exception as e:  # the edge: whatever broke is ours, and is said rather than lost
        return Reply(found=found, fault=f"the referee failed: {type(e).__name__}: {e}"[:2000])


def _probe(slot: Slot, order: Order) -> Found:
    here = attempt_here(order.out_of_reach)
    slot.probe()
    return Found(tier=slot.tier, weaker_because=slot.weaker_because, box=slot.probes, referee=here)


def _too_weak(order: Order, slot: Slot, found: Found | None) -> str:
    if found and found.holes:
        return f"the referee's own jail does not hold: {found.holes}. Nothing is graded. Run: bootcamp doctor"
    if meets(slot.tier, order.require_tier):
        return ""
    why = f" {slot.weaker_because}" if slot.weaker_because else ""
    return (
        f"this machine's box reaches tier {slot.tier}; the course requires {order.require_tier} "
        f"(assignments/course.toml). Nothing is graded.{why} Run: bootcamp doctor"
    )


def _graded(order: Order, raw: bytes, slot: Slot, bundle: Bundle, reference: Box | None) -> Reply:
    grader = Grader(bundle, slot.open_box, slot.tier, bytes.fromhex(order.seed), budget=order.budget, reference_box=reference)
    costs: Costs | None = order.costs.get(slot.tier)
    measured = None
    if costs is None:
        try:
            costs = measured = admit(grader)
        except InfraError as e:
            return Reply(unadmitted=str(e))
    grader.costs = costs
    return Reply(costs=measured, graded=grader.grade(raw, order.student, order.known, order.only))
