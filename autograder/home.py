"""Where a running course keeps its state: environment in, `Home` (paths and the secret seed) out."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autograder.errors import BootcampError

_MIN_SEED_CHARS = 32
TRANSCRIPT_KEYS, PREVIEWS, BACKED_UP = "transcripts", "previews", "backed_up"


@dataclass(frozen=True)
class Home:
    """The folder of everything that is not source: ledger, nbgrader's course folder, caches, the course seed.

    course_root holds assignments/, solutions/ and release/.
    """

    course_root: Path
    path: Path
    ledger_url: str
    seed_text: str = field(default="", repr=False)  # secret: kept out of logs and error messages

    @classmethod
    def from_env(cls, env: Mapping[str, str], course_root: Path | None = None) -> Home:
        """Read BOOTCAMP_COURSE, BOOTCAMP_HOME, BOOTCAMP_LEDGER and BOOTCAMP_SEED; only the outermost layer calls this."""
        root = (course_root or Path(env.get("BOOTCAMP_COURSE", "."))).resolve()
        path = Path(env.get("BOOTCAMP_HOME", root / "var")).resolve()
        url = env.get("BOOTCAMP_LEDGER", f"sqlite:///{path / 'ledger.sqlite'}")
        return cls(root, path, url, env.get("BOOTCAMP_SEED", ""))

    @property
    def nbgrader_root(self) -> Path:
        """nbgrader's course folder: source/, release/, submitted/, autograded/, feedback/, gradebook.db."""
        return self.path / "course"

    @property
    def blobs(self) -> Path:
        """Every notebook that was ever handed in, by its hash."""
        return self.path / "blobs"

    @property
    def transcript_keys(self) -> Path:
        """What signs transcripts, and the public keys to check them with."""
        return self.path / TRANSCRIPT_KEYS

    @property
    def previews(self) -> Path:
        """What regrades that were only shown would do."""
        return self.path / PREVIEWS

    @property
    def replays(self) -> Path:
        """What was said of attempts by builds that regrades replayed them under."""
        return self.path / "regrades"

    @property
    def backed_up(self) -> Path:
        """Touched by every backup that is whole."""
        return self.path / BACKED_UP

    @property
    def seed_file(self) -> Path:
        return self.path / "course_seed"

    def seed(self) -> bytes:
        """Return the secret that every draw of hidden inputs derives from.

        It comes from BOOTCAMP_SEED, else from the file course_seed. Raises: BootcampError when there is none.
        """
        text = self.seed_text
        if not text and self.seed_file.is_file():
            text = self.seed_file.read_text("ascii").strip()
        if len(text) < _MIN_SEED_CHARS:
            raise BootcampError(
                f"no course seed of at least {_MIN_SEED_CHARS} characters in BOOTCAMP_SEED or {self.seed_file}. Run: bootcamp init"
            )
        return text.encode()

    def make(self) -> None:
        """Create the folder and, unless there is one, a random course seed that only its owner can read."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        if not self.seed_text and not self.seed_file.exists():
            fd = os.open(self.seed_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as f:
                f.write(secrets.token_urlsafe(48) + "\n")
