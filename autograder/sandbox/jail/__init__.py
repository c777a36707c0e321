"""The walls around one job: namespaces and mounts, resource limits, capabilities, Landlock, seccomp. No torch.

`confine` puts them up in that order inside the forked process, before any student's code. Each wall is a small module
that can be read alone; each is needed even where another one seems to cover it.
"""
