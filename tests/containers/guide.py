"""The operator's guide in; what it tells people to type, out, so that it is tried as it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.containers.engine import ROOT


@dataclass(frozen=True)
class Guide:
    """docker/README.md."""

    text: str

    @classmethod
    def read(cls) -> Guide:
        return cls((ROOT / "docker" / "README.md").read_text("utf-8"))

    def block(self, section: str, n: int = 0) -> str:
        """Return the section's n-th block of commands. Raises: AssertionError when there is none."""
        parts = self.text.split(f"\n## {section}\n")
        assert len(parts) == 2, f"no section {section!r}"
        blocks = re.findall(r"^ *```sh\n(.*?)^ *```", parts[1].partition("\n## ")[0], re.MULTILINE | re.DOTALL)
        assert len(blocks) > n, f"{section!r} has {len(blocks)} blocks"
        return str(blocks[n])

    def quoted(self, before: str) -> str:
        """Return what stands in backticks after the words, on one line."""
        found = re.search(re.escape(before) + r"`([^`]+)`", self.text)
        assert found, f"no {before!r} in the guide"
        return " ".join(found[1].split())
