"""A forked process in, the same process inside all walls out; any wall that does not stand raises."""

from __future__ import annotations

import os
import tempfile

from autograder.sandbox.jail import kernel, landlock, limits, namespaces, seccomp
from autograder.sandbox.jail.spec import JobSpec

_SIGKILL = 9


def confine(spec: JobSpec, filter_program: bytes) -> None:
    """Put up every wall around this process. Raises: OSError; the caller must then end the process."""
    if spec.namespaces:
        namespaces.enter(spec)
    namespaces.prefer_for_oom()
    os.chdir(spec.folder)
    if not spec.namespaces:  # with them, the environment names the job's own folders from the start
        os.environ.update(HOME=spec.folder, TMPDIR=spec.folder)
        tempfile.tempdir = None
    limits.set_resource_limits(spec)
    limits.drop_capabilities()
    # A belt, last since a change of credentials would clear it: the monitor outside is what kills. The filter forbids
    # to undo it.
    kernel.prctl(kernel.PR_SET_PDEATHSIG, _SIGKILL)
    if landlock.abi() == 0:
        raise OSError("Landlock: this kernel has none")
    landlock.restrict([*spec.read_only, f"/proc/{os.getpid()}"] if not spec.namespaces else spec.read_only, spec.read_write)
    seccomp.install(filter_program)
