"""Archives: what was packed comes back, and whatever is odd is refused with the file's name and the limit."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.nbgrader_bridge.exchange.archive import Limits, RefusedFiles, pack, unpack

LIMITS = Limits(n_files=5, file_bytes=2000, total_bytes=5000, name_chars=40, n_folders=2)


def tar(*members: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.USTAR_FORMAT) -> bytes:
    """What a stranger's tool would send."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=form) as archive:
        for member in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member[0])
            content = b"" if isinstance(member, tarfile.TarInfo) else member[1]
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(archive: bytes) -> dict[str, bytes]:
    return unpack(io.BytesIO(archive), LIMITS)


NAMES = st.lists(st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=9), min_size=1, max_size=3)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(NAMES.map("/".join), st.binary(max_size=900), min_size=1, max_size=5))
def test_what_is_packed_comes_back(files: dict[str, bytes]) -> None:
    """Any plain names and bytes; what packing refuses, unpacking would have refused."""
    try:
        packed = pack(files, LIMITS)
    except RefusedFiles:
        return
    assert read(packed) == files


def test_a_plain_archive_of_another_tool_is_read() -> None:
    """The format is tar's own, so a person can look into an upload with tar."""
    assert read(tar(("a.ipynb", b"{}"), ("data/x.csv", b"1"))) == {"a.ipynb": b"{}", "data/x.csv": b"1"}


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "pipe"),
        (tarfile.DIRTYPE, "folder"),
        (tarfile.GNUTYPE_SPARSE, "sparse"),
    ],
)
def test_only_regular_files_exist(kind: bytes, word: str) -> None:
    """A link, a device, a pipe, a folder or a sparse file is named and refused, also behind good files."""
    with pytest.raises(RefusedFiles, match=f'"trap" is .*{word}'):
        read(tar(("a.ipynb", b"{}"), special("trap", kind, "/etc/passwd")))


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "../up", "a/../../b", "a//b", "./a", "a/.", "c:evil", "a\\b"),
        *("line\nbreak", "bell\x07", "esc\x1b[2J", "end.", " a", "a "),
    ],
)
def test_names_that_are_no_plain_path_are_refused(name: str) -> None:
    """On the way in and on the way out alike; the message shows the name without its control characters."""
    with pytest.raises(RefusedFiles, match="Rename the file") as refused:
        read(tar((name, b"x")))
    with pytest.raises(RefusedFiles):
        pack({name: b"x"}, LIMITS)

    assert str(refused.value).isprintable()


def test_a_nul_in_a_name_is_seen() -> None:
    """tar readers end a name at NUL, and what stands behind it would never be checked."""
    archive = bytearray(tar(("abc", b"x")))
    archive[2:6] = b"\0.py"
    archive[148:156] = b"%06o\0 " % (sum(archive[:148]) + sum(archive[156:512]) + 8 * 32)

    with pytest.raises(RefusedFiles, match="NUL"):
        read(bytes(archive))


@pytest.mark.parametrize(
    "pair",
    [
        *(("a", "a"), ("Data", "data"), ("stra\u00dfe", "STRASSE"), ("e\u0301", "\u00e9")),
        *(("a", "a/b"), ("a/b", "a"), ("\ufb01le", "file")),
    ],
)
def test_names_that_some_file_system_takes_for_one_are_refused(pair: tuple[str, str]) -> None:
    """The same name twice, other case, other composition, a file that is a folder too."""
    with pytest.raises(RefusedFiles, match=r"one file on some|folder too"):
        read(tar(*((name, b"x") for name in pair)))


def test_sizes_are_checked_before_bytes_are_read() -> None:
    """A header that promises a terabyte costs nothing: nothing is read for it."""
    info = tarfile.TarInfo("bomb.bin")
    info.size = 1 << 40
    stream = io.BytesIO(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))

    with pytest.raises(RefusedFiles, match=r'"bomb.bin" has 1048576.0 MiB; at most'):
        unpack(stream, LIMITS)

    assert stream.tell() == 512


def test_a_size_below_zero_is_damage() -> None:
    """tar's binary numbers can be negative, and have sent readers backwards for ever."""
    block = bytearray(tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = b"\xff" * 12
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:512]) + 8 * 32)

    with pytest.raises(RefusedFiles, match="below zero"):
        read(bytes(block) + bytes(2048))


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"big": bytes(2001)}, '"big" has .* at most'),
        ({"a": bytes(1900), "b": bytes(1900), "c": bytes(1900)}, '"c" is too much'),
        ({f"f{n}": b"" for n in range(6)}, '"f5" is one file too many: at most 5'),
        ({"x" * 41: b""}, "41 characters; at most 40"),
        ({"a/b/c/d": b""}, "3 folders deep; at most 2"),
    ],
)
def test_limits_name_the_file_and_the_limit(files: dict[str, bytes], match: str) -> None:
    """At both ends."""
    with pytest.raises(RefusedFiles, match=match):
        read(tar(*files.items()))
    with pytest.raises(RefusedFiles, match=match):
        pack(files, LIMITS)


@pytest.mark.parametrize("wrap", [gzip.compress, lambda b: b"PK\x03\x04" + b, lambda b: b"BZh9" + b])
def test_compressed_archives_are_refused(wrap) -> None:
    """Nothing is unpacked that could be larger than what arrived."""
    with pytest.raises(RefusedFiles, match="compressed"):
        read(wrap(tar(("a", b"x"))))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_extended_headers_do_not_exist(form: int) -> None:
    """They can rename a file and change its size after it was checked."""
    long = "n" * 120
    with pytest.raises(RefusedFiles, match="archive record"):
        read(tar((long, b"x"), form=form))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damage_is_refused_or_read_within_the_limits(data: st.DataObject) -> None:
    """Cut anywhere, any bytes changed: an answer within the limits, or a refusal; never another error."""
    archive = bytearray(tar(("a.ipynb", b"x" * 700), ("b", b"y")))
    for _ in range(data.draw(st.integers(0, 4))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(archive)))
    try:
        found = read(bytes(archive[:cut]))
    except RefusedFiles:
        return
    assert sum(map(len, found.values())) <= LIMITS.total_bytes
