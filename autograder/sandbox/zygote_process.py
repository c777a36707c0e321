"""A choice of walls in, a running zygote out: the jail's greeting of the one process that forks players."""

from __future__ import annotations

from autograder.sandbox import jailed_process, outer
from autograder.sandbox.jailed_process import JailedProcess


def start(namespaces: bool, search_path: str = jailed_process.SEARCH_PATH, *, warm: bool = True) -> JailedProcess:
    """Start a zygote; one that is not warm has imported the player's needs only.

    Raises: InfraError naming what to install or what was refused.
    """
    settings = {"filter": jailed_process.compile_filter(namespaces=namespaces), "namespaces": namespaces, "warm": warm}
    zygote = jailed_process.start(outer.zygote_contents(), namespaces, search_path)
    zygote.greet(settings)
    return zygote
