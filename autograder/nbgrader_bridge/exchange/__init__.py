"""nbgrader's exchange over HTTP: plugin classes for `ExchangeFactory`, the client that they ask, the archive that they send.

The Hub says who, the service says when: nothing here claims a name or a time. The plugins run in users' servers and
import nbgrader; client and archive do with the standard library, and the service reads archives with the same module.
"""
