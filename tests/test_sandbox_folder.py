"""A job's folder goes, whatever a student made of it, and nothing else does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autograder.sandbox.folder import remove


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "job"
    made.mkdir()
    return made


def test_a_folder_deeper_than_recursion_and_paths_go(folder):
    """Thousands of levels of long names: no path names the last one, and no recursion reaches it."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 200, dir_fd=fd)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_CREAT, dir_fd=fd))
    os.close(fd)
    remove(folder)
    assert not folder.exists()


def test_closed_folders_and_odd_files_go(folder):
    """Without rights, with links to itself, with pipes and names that are no text."""
    (folder / "a" / "b" / "c").mkdir(parents=True)
    (folder / "a" / "b" / "c" / "file").write_text("x")
    (folder / "a" / "loop").symlink_to(folder)
    os.mkfifo(folder / "a" / "b" / "pipe")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\n")).write_text("x")
    for path in (folder / "a" / "b" / "c", folder / "a" / "b", folder / "a", folder):
        path.chmod(0)
    remove(folder)
    assert not folder.exists()


def test_no_link_is_followed(folder):
    """What a link points at stays."""
    outside = folder.parent / "outside"
    (outside / "inner").mkdir(parents=True)
    (outside / "file").write_text("x")
    outside.chmod(0o755)
    (folder / "link").symlink_to(outside)
    (folder / "sub").mkdir()
    (folder / "sub" / "link").symlink_to(outside)
    remove(folder)
    assert not folder.exists()
    assert sorted(p.name for p in outside.iterdir()) == ["file", "inner"]


def test_a_folder_that_is_not_there_is_no_error(folder):
    """Closing twice is no error."""
    remove(folder)
    remove(folder)
