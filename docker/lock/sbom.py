"""A lock in, a bill of materials in CycloneDX out: every package of the image with version, hashes and licence.

    python docker/lock/sbom.py student > student.cdx.json        or engine, or hub; `make sbom` writes all three

The components are cyclonedx-py's reading of the lock; torch, which comes from an index of its own, and the licences are added.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from licences import HERE, IMAGES, licence

DOCKERFILE = HERE.parent / "Dockerfile"


def bill(image: str) -> str:
    """Return the bill as JSON; the same lock gives the same text. Raises: CalledProcessError."""
    lines = (HERE / f"{image}.txt").read_text("utf-8")
    if image != "hub":
        lines += "\n".join(set(re.findall(r"torch==[\d.]+", DOCKERFILE.read_text("utf-8")))) + "\n"
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible", "--of", "JSON", "-"]
    found = json.loads(subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout)
    for component in found["components"]:
        component.pop("description", None)  # the line of the lock again
        component["licenses"] = [{"expression": licence(component["name"])}]
    found["metadata"]["component"] = {"type": "container", "name": f"bootcamp-{image}", "bom-ref": f"bootcamp-{image}"}
    return json.dumps(found, indent=1) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in IMAGES:
        sys.exit(f"usage: sbom.py {' | '.join(IMAGES)}")
    sys.stdout.write(bill(sys.argv[1]))
