"""Who may do what: a role's name in, its Hub group and its scopes out. Plain data, read by the Hub's configuration.

The Hub decides: group -> role -> scopes. The service asks for scopes on every request and never compares names of
groups, so that a course can cut its roles differently by editing the Hub's configuration alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SERVICE = "bootcamp"

# What a route takes beside scopes of the Hub: nothing, for what is nobody's data, or just to be let into the service.
PUBLIC, INSIDE = "public", "inside"
ENTER = f"access:services!service={SERVICE}"
READ_ALL = "custom:bootcamp:read-all"
GRADE = "custom:bootcamp:grade"
FLAGS = "custom:bootcamp:flags"
MENTOR = "custom:bootcamp:mentor"
METRICS = "custom:bootcamp:metrics"

CUSTOM_SCOPES: Mapping[str, str] = MappingProxyType(
    {
        READ_ALL: "Read the results of everybody in the bootcamp",
        GRADE: "Regrade, extend and correct results in the bootcamp",
        FLAGS: "See a person's profile and decide on invitations",
        MENTOR: "See whom an organizer has confirmed for an invitation",
        METRICS: "Read the bootcamp's Prometheus metrics",
    }
)

# Students hold no scope of their own: everybody who may enter sees their own results.
ROLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "student": (),
        "instructor": (READ_ALL, GRADE),
        "organizer": (READ_ALL, FLAGS),
        "mentor": (MENTOR,),
    }
)

# The one that is no person: Prometheus, a service of the Hub with a token and these scopes.
MONITOR = "prometheus"
MONITOR_SCOPES = ("read:metrics", ENTER, METRICS)


def group(role: str) -> str:
    """Return the Hub group whose members play the role."""
    return f"{SERVICE}-{role}s"
