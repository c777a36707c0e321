"""The state folder: private, with a seed that is made once and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder.commands.init import command
from autograder.errors import BootcampError
from autograder.home import Home

ROOT = Path(__file__).parents[1]


def test_the_seed_is_made_once_and_only_its_owner_reads_it(tmp_path: Path):
    """A second start keeps the seed: every draw of the course derives from it."""
    home = Home.from_env({"BOOTCAMP_HOME": str(tmp_path / "state")}, tmp_path)
    home.make()
    seed = home.seed()
    home.make()

    assert home.seed() == seed
    assert home.seed_file.stat().st_mode & 0o777 == 0o600
    assert home.path.stat().st_mode & 0o777 == 0o700


def test_a_seed_from_the_environment_leaves_no_file(tmp_path: Path):
    """Where a deployment brings its own secret, none is written to disk."""
    home = Home.from_env({"BOOTCAMP_HOME": str(tmp_path), "BOOTCAMP_SEED": "x" * 40}, tmp_path)
    home.make()

    assert home.seed() == b"x" * 40
    assert not home.seed_file.exists()


def test_init_says_where_the_seed_is(tmp_path: Path):
    """What to back up is named, and the seed itself is not."""
    home = Home.from_env({"BOOTCAMP_HOME": str(tmp_path / "state"), "BOOTCAMP_SEED": "x" * 40}, ROOT)
    done = CliRunner().invoke(command, obj=home, catch_exceptions=False)

    assert "BOOTCAMP_SEED" in done.output
    assert "back it up" in done.output
    assert home.seed().decode() not in done.output


@pytest.mark.parametrize("seed", ["", "short"])
def test_without_a_real_seed_nothing_is_drawn(tmp_path: Path, seed: str):
    """A missing or guessable seed is refused, with what to run."""
    home = Home.from_env({"BOOTCAMP_HOME": str(tmp_path / "none"), "BOOTCAMP_SEED": seed}, tmp_path)

    with pytest.raises(BootcampError, match="Run: bootcamp init"):
        home.seed()


def test_the_seed_does_not_show_in_what_is_printed(tmp_path: Path):
    """A record that lands in a log must not carry the secret."""
    home = Home.from_env({"BOOTCAMP_SEED": "s3cret" * 8}, tmp_path)

    assert "s3cret" not in repr(home)
