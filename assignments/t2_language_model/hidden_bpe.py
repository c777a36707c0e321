"""Hidden checks of T2, bytes to tokens: train_bpe, Tokenizer. Student and rng in, silence or a hint out.

The oracle holds a corpus as one string in which every token is one character, so that counting and merging are str.count
and str.replace: both go from left to right and never overlap. Everything is exact, there is no tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from autograder.grading.checks import hidden
from autograder.grading.compare import pair, raises
from autograder.sandbox.student import Student, StudentObject

BPE, TOKENIZER = "t2_language_model.train_bpe", "t2_language_model.tokenizer"
Merges = list[tuple[bytes, bytes]]
SPACES = b" \t\n\r\x0b\x0c"
WALL = "\uffff"  # stands between pieces
FIRST = 0x4E00  # character of the byte 0; those of merged tokens follow on 0x4E00 + 256


def _cut_specials(text: bytes, specials: Sequence[bytes]) -> list[tuple[bytes, bool]]:
    """Return (part, whether it is a special token) from left to right, at each place the longest special."""
    parts: list[tuple[bytes, bool]] = []
    plain, i = b"", 0
    while i < len(text):
        found = max((s for s in specials if text.startswith(s, i)), key=len, default=None)
        if found:
            parts += [(plain, False), (found, True)]
            plain, i = b"", i + len(found)
        else:
            plain, i = plain + text[i : i + 1], i + 1
    return [*parts, (plain, False)]


def _walled(text: bytes) -> str:
    """Return a plain text as characters, with a wall before every whitespace byte."""
    return "".join((WALL if byte in SPACES else "") + chr(FIRST + byte) for byte in text) + WALL


def _learn(text: bytes, n_merges: int, specials: Sequence[bytes]) -> Merges | None:
    """Return the merges; None where two of them make the same bytes, which the task leaves open."""
    corpus = "".join(_walled(part) for part, special in _cut_specials(text, specials) if not special)
    tokens = [bytes([i]) for i in range(256)]
    merges: Merges = []
    while len(merges) < n_merges:
        seen = {a + b for a, b in pairwise(corpus) if WALL not in (a, b)}
        if not seen:
            break
        ranked = [(corpus.count(two), tokens[ord(two[0]) - FIRST], tokens[ord(two[1]) - FIRST], two) for two in seen]
        _, left, right, two = max(ranked)
        if left + right in tokens:
            return None
        merges.append((left, right))
        corpus = corpus.replace(two, chr(FIRST + len(tokens)))
        tokens.append(left + right)
    return merges


def _encode(text: bytes, merges: Merges, specials: Sequence[bytes]) -> list[bytes]:
    """Return the tokens of a text: every merge once over the whole text, in the order in which it was learned."""
    number = {bytes([i]): i for i in range(256)}
    out: list[bytes] = []
    for part, special in _cut_specials(text, specials):
        if special:
            out.append(part)
            continue
        line, known = _walled(part), dict(number)
        for left, right in merges:
            known[left + right] = len(known)
            line = line.replace(chr(FIRST + known[left]) + chr(FIRST + known[right]), chr(FIRST + known[left + right]))
        names = list(known)
        out += [names[ord(c) - FIRST] for c in line if c != WALL]
    return out


def _letters(rng: np.random.Generator, n: int) -> list[bytes]:
    """Draw n different bytes, in ascending order, all of them larger than whitespace."""
    return [bytes([int(i)]) for i in sorted(rng.choice(np.arange(33, 256), n, replace=False))]


def _words(rng: np.random.Generator, letters: Sequence[bytes], n: int, low: int, high: int) -> list[bytes]:
    return [b"".join(letters[int(i)] for i in rng.integers(0, len(letters), int(rng.integers(low, high)))) for _ in range(n)]


def _text(rng: np.random.Generator, letters: Sequence[bytes], n: int, n_words: int = 12) -> bytes:
    words = _words(rng, letters, n_words, 1, 7)
    odds = 1 / np.arange(1, n_words + 1)
    chosen = rng.choice(n_words, n, p=odds / odds.sum())
    return b"".join(bytes([SPACES[int(rng.integers(0, 3))]]) * int(rng.integers(1, 3)) + words[int(i)] for i in chosen)


def _show(merges: Sequence[Any]) -> str:
    return ", ".join(f"{m[0]!r}+{m[1]!r}" for m in merges[:5])


def _trained(student: Student, text: bytes, size: int, specials: Sequence[bytes], what: str) -> tuple[dict[int, bytes], Merges]:
    called = student.fn("train_bpe")
    vocab, merges = pair(called(text, size, list(specials)) if specials else called(text, size), what)
    assert isinstance(vocab, dict), f"{what}: vocab is {type(vocab).__name__}, expected a dict from ids to bytes."
    assert isinstance(merges, list), f"{what}: merges is {type(merges).__name__}, expected a list of pairs."
    for m in merges:
        good = isinstance(m, (tuple, list)) and len(m) == 2 and all(type(part) is bytes for part in m)
        assert good, f"{what}: a merge is not a pair of bytes."
    return vocab, [(m[0], m[1]) for m in merges]


def _as_learned(student: Student, text: bytes, n_merges: int, specials: Sequence[bytes], what: str, slip: str) -> bool:
    """Assert that the student learns the oracle's merges; False when the text leaves something open."""
    expected = _learn(text, n_merges, specials)
    if expected is None:
        return False
    _, merges = _trained(student, text, 256 + len(specials) + n_merges, specials, what)
    for i, (found, wanted) in enumerate(zip(merges, expected, strict=False)):
        said = f"{what}: merge number {i} is {found[0]!r} and {found[1]!r}, expected {wanted[0]!r} and {wanted[1]!r}"
        before = f", after {_show(expected[max(0, i - 3) : i])}" if i else ""
        assert found == wanted, f"{said}{before}. {slip}"
    assert len(merges) == len(expected), f"{what}: {len(merges)} merges, expected {len(expected)}. {slip}"
    return True


def _several(rng: np.random.Generator, n: int, ask: Any) -> None:
    """Ask with n drawn texts that leave nothing open."""
    asked = 0
    for _ in range(20 * n):
        asked += bool(ask())
        if asked == n:
            return


@hidden(BPE, weight=3, core=True)
def merges_by_hand(student: Student, rng: np.random.Generator) -> None:
    """Six texts small enough for a pencil, with drawn letters: the most frequent pair first, the larger one of two equals."""
    a, b, c, d = _letters(rng, 4)  # in ascending order, all of them larger than a space
    sp, s = b" ", b"\x00\x01\x00"
    slip = "Count pairs within pieces; the docstring says what counts, and which of several equally frequent pairs comes first."
    for text, specials, merges in (
        (sp.join([a + b] * 3 + [c + d] * 2), [], [(a, b), (c, d), (sp, c + d), (sp, a + b)]),
        (a + b + c, [], [(b, c), (a, b + c)]),
        (sp.join([c + a + b] * 3), [], [(c, a), (c + a, b), (sp, c + a + b)]),
        (a * 4 + sp + a * 2, [], [(a, a), (a + a, a + a), (sp, a + a)]),
        (sp.join([a * 3] * 2 + [b + c] * 3), [], [(b, c), (sp, b + c), (a, a), (a + a, a), (sp, a * 3)]),
        (s.join([a + b, a + b, sp.join([b + a] * 3)]), [s], [(b, a), (a, b), (sp, b + a)]),
    ):
        found = _trained(student, text, 256 + len(specials) + len(merges), specials, f"train_bpe of {text!r}")[1]
        assert found == merges, f"{text!r}: merges {_show(found)}, expected {_show(merges)}. {slip}"


@hidden(BPE, weight=3, core=True)
def merges_of_drawn_texts(student: Student, rng: np.random.Generator) -> None:
    """Texts of a few hundred words over small alphabets."""

    def ask() -> bool:
        text = _text(rng, _letters(rng, int(rng.integers(4, 9))), 150)
        slip = "After each merge the pairs change: which counts were not taken again?"
        return _as_learned(student, text, 25, (), f"train_bpe of a text of {len(text)} bytes", slip)

    _several(rng, 3, ask)


@hidden(BPE, weight=2)
def runs_count_as_they_merge(student: Student, rng: np.random.Generator) -> None:
    """In a run of one letter overlapping pairs are no merges: aaa brings one, aaaa two."""

    def ask(lengths: Sequence[int], longer: bool) -> bool:
        a, b, c = (_letters(rng, 3)[int(i)] for i in rng.permutation(3))
        runs = [a * int(rng.choice(lengths)) for _ in range(10)]
        # (b, c) comes more often than the runs bring merges and less often than they have pairs; or less often than they
        # bring merges, and more often than there are runs.
        n_real, n_naive = sum(len(r) // 2 for r in runs), sum(len(r) - 1 for r in runs)
        words = runs + [b + c] * int(rng.integers(11, n_real) if longer else rng.integers(n_real + 1, n_naive))
        text = b" ".join(words[int(i)] for i in rng.permutation(len(words)))
        return _as_learned(student, text, 3, (), f"train_bpe of {text[:24]!r}...", "How many merges does aaa bring, and aaaa?")

    _several(rng, 2, lambda: ask((3, 3, 3, 5), False))
    _several(rng, 2, lambda: ask((4, 5, 6), True))


@hidden(BPE, weight=2)
def equals_go_to_the_larger_pair(student: Student, rng: np.random.Generator) -> None:
    """Where every count is the same, the pairs' own order decides, at every step, not the place where they were seen."""

    def ask() -> bool:
        letters = _letters(rng, 14)
        shuffled = [letters[int(i)] for i in rng.permutation(14)]
        text = b" ".join(shuffled[i] + shuffled[i + 1] for i in range(0, 14, 2))
        return _as_learned(
            student, text, 9, (), f"train_bpe of {text!r}", "All these pairs are equally frequent: which is largest?"
        )

    _several(rng, 2, ask)

    def longer() -> bool:
        text = b" ".join(_words(rng, _letters(rng, 3), 6, 2, 5))
        return _as_learned(
            student, text, 8, (), f"train_bpe of {text!r}", "Pairs are compared as tuples of bytes, left part first."
        )

    _several(rng, 8, longer)
    # Without whitespace (ab, a) ties with (a, bb), which joins to larger bytes, and (c, d) with both, which are longer.
    a, b, c, d = _letters(rng, 4)
    special = b"\x00\x01\x00"
    text = special.join([b + b] * 7 + [a + b] * 4 + [a + b + b, a + b + a, c + d])
    slip = "Pairs are compared as tuples of bytes: neither the joined bytes nor their number matters."
    assert _as_learned(student, text, 5, [special], f"train_bpe of {text!r}", slip)


@hidden(BPE, weight=2)
def specials_are_never_merged(student: Student, rng: np.random.Generator) -> None:
    """Special tokens are cut out, the longest first, and no merge reaches into or across one."""

    def ask() -> bool:
        letters = _letters(rng, 5)
        short = b"<|" + letters[0] + b"|>"
        specials = [short, short + letters[1], b"<end of text>"]
        specials = [specials[int(i)] for i in rng.permutation(3)]
        parts = _words(rng, letters, 40, 1, 5)
        text = b"".join(p + specials[int(i)] * int(rng.integers(0, 2)) for p, i in zip(parts, rng.integers(0, 3, 40), strict=True))
        what = f"train_bpe with specials {[s.decode('latin1') for s in specials]}"
        return _as_learned(student, text, 12, specials, what, "Is the text cut at every special token before anything is counted?")

    _several(rng, 3, ask)
    a, b = _letters(rng, 2)
    text = (a + b"<|s|>" + b) * 5 + b" " + b + a
    slip = "What stands on either side of a special token are separate texts."
    assert _as_learned(student, text, 1, [b"<|s|>"], f"train_bpe of {text!r}", slip)
    # Without a special of that name the same bytes are ordinary text.
    _as_learned(student, text, 4, (), f"train_bpe of {text!r} without specials", slip)
    longer = [b"<|s|>", b"<|s|>" + b]
    text = (longer[1] + a) * 3 + b" " + a + b
    slip = "Where two specials begin at the same place, the longer one is cut out whole."
    assert _as_learned(student, text, 1, longer, f"train_bpe of {text!r}", slip)


@hidden(BPE, weight=2)
def vocabulary_is_laid_out_as_promised(student: Student, rng: np.random.Generator) -> None:
    """Bytes, specials, merges in this order; learning stops at vocab_size, or when nothing is left to merge."""
    specials = [b"<|z|>", b"<|a|>"]
    text = _text(rng, _letters(rng, 4), 30)
    for extra, given in ((0, specials), (3, specials), (3, []), (0, [])):
        what = f"train_bpe with vocab_size={256 + len(given) + extra} and {len(given)} specials"
        vocab, merges = _trained(student, text, 256 + len(given) + extra, given, what)
        assert len(merges) == extra, f"{what}: {len(merges)} merges, expected {extra}. What counts towards vocab_size?"
        wanted = [bytes([i]) for i in range(256)] + given + [left + right for left, right in merges]
        slip = "First the bytes, then the specials as given, then one token per merge."
        assert vocab == dict(enumerate(wanted)), f"{what}: vocab is not laid out as the docstring says. {slip}"
    word = b"".join(_letters(rng, 5))
    for text, n in ((word, 4), (b"", 0), (word[:1], 0), (b" ".join([word[:1]] * 3), 1)):
        merges = _trained(student, text, 300, (), f"train_bpe of {text!r} with vocab_size=300")[1]
        slip = "Learning stops when every piece is one token."
        assert len(merges) == n, f"{text!r}: {len(merges)} merges, expected {n}. {slip}"
    raises("ValueError", lambda: student.fn("train_bpe")(b"a", 257, specials), "train_bpe with vocab_size=257 and two specials")


@hidden(BPE, weight=1)
def a_long_text(student: Student, rng: np.random.Generator) -> None:
    """130 kB: a text said many times over teaches what it teaches once, and takes not much longer."""
    block = b""
    while not block or (expected := _learn(block, 40, ())) is None:
        block = _text(rng, _letters(rng, 20), 2500, 250)
    text = block * (130_000 // len(block))
    merges = _trained(student, text, 296, (), f"train_bpe of {len(text)} bytes")[1]
    slip = f"The same {len(block)} bytes over and over should give the merges that they give once."
    assert merges == expected, f"{len(text)} bytes: merges begin with {_show(merges)}, expected {_show(expected)}. {slip}"


# -- Tokenizer -------------------------------------------------------------------------------------------------------------


def _vocabulary(rng: np.random.Generator, merges: Merges, specials: Sequence[bytes]) -> dict[int, bytes]:
    """Number the tokens at random, in a random order."""
    tokens = [bytes([i]) for i in range(256)] + list(specials) + [left + right for left, right in merges]
    ids = rng.permutation(3 * len(tokens))[: len(tokens)]
    return {int(ids[int(i)]): tokens[int(i)] for i in rng.permutation(len(tokens))}


def _drawn_merges(rng: np.random.Generator, letters: Sequence[bytes], n: int, first: Sequence[tuple[bytes, bytes]] = ()) -> Merges:
    """Draw merges in which parts come before wholes, and no two make the same bytes; `first` are given."""
    merges = list(first)
    tokens = [*letters, *(left + right for left, right in first)]
    while len(merges) < n:
        left, right = (tokens[int(i)] for i in rng.integers(0, len(tokens), 2))
        if left + right not in tokens and len(left + right) < 9:
            merges.append((left, right))
            tokens.append(left + right)
    return merges


def _tokenizer(student: Student, vocab: dict[int, bytes], merges: Merges, specials: Sequence[bytes] = ()) -> StudentObject:
    if specials:
        return student.make("Tokenizer", vocab, merges, list(specials))
    return student.make("Tokenizer", vocab, merges)


def _ids(value: Any, what: str) -> list[int]:
    assert isinstance(value, list), f"{what} is {type(value).__name__}, expected a list of ints."
    assert all(type(i) is int for i in value), f"{what} holds something else than ints."
    return value


def _encoded(t: StudentObject, text: bytes, vocab: dict[int, bytes], merges: Merges, specials: Sequence[bytes], slip: str) -> None:
    what = f"encode({text[:40]!r}{'...' if len(text) > 40 else ''})"
    found = _ids(t.call("encode", text), what)
    unknown = [i for i in found if i not in vocab]
    assert not unknown, f"{what} holds {unknown[0]}, which is no id of vocab. The ids are whatever vocab says."
    tokens, wanted = [vocab[i] for i in found], _encode(text, merges, specials)
    at = next((i for i, (x, y) in enumerate(zip(tokens, wanted, strict=False)) if x != y), min(len(tokens), len(wanted)))
    said = f"token number {at} is {tokens[at : at + 1]}, expected {wanted[at : at + 1]}, with merges {_show(merges)}"
    assert tokens == wanted, f"{what}: {said}. {slip}"


@hidden(TOKENIZER, weight=3, core=True)
def merges_by_rank(student: Student, rng: np.random.Generator) -> None:
    """In every piece the merge that was learned first comes first, whatever is longer or further left."""
    for _ in range(4):
        letters = _letters(rng, 3)
        merges = _drawn_merges(rng, letters, 14)
        vocab = _vocabulary(rng, merges, ())
        t = _tokenizer(student, vocab, merges)
        for text in (*_words(rng, letters, 12, 4, 14), b""):
            _encoded(t, text, vocab, merges, (), "The lowest rank first, everywhere, then look again.")


@hidden(TOKENIZER, weight=2, core=True)
def round_trip(student: Student, rng: np.random.Generator) -> None:
    """Whatever is encoded is decoded to the same bytes: any Unicode, invalid UTF-8, zero bytes, nothing at all."""
    letters = _letters(rng, 4)
    merges, specials = _drawn_merges(rng, [*letters, b" "], 10), [b"<|a|>", b"<|a|><|b|>"]
    vocab = _vocabulary(rng, merges, specials)
    t = _tokenizer(student, vocab, merges, specials)
    code = rng.integers(1, 0xD7FF, 60)
    texts = [rng.bytes(200), "".join(map(chr, code)).encode(), bytes(range(256)), b"", b"  \n\n ", b"<|a|>" * 3, b"<|a|", b"\xff"]
    for text in [*texts, b"".join([*_words(rng, letters, 9, 0, 6), b"<|a|><|b|>", b" <|a|>x"])]:
        back = t.call("decode", _ids(t.call("encode", text), f"encode({text[:20]!r})"))
        assert type(back) is bytes, f"decode gives {type(back).__name__}, expected bytes."
        assert back == text, f"{len(text)} bytes, {text[:12]!r}...: decode(encode(text)) has {len(back)} bytes and is not the text."
    ids = [int(i) for i in rng.choice(list(vocab), 30)]
    wanted = b"".join(vocab[i] for i in ids)
    slip = "Any sequence of ids stands for bytes, also one that no text is encoded to."
    assert t.call("decode", ids) == wanted, f"decode of 30 drawn ids is not the bytes that vocab gives them. {slip}"


@hidden(TOKENIZER, weight=2)
def pieces_stay_apart(student: Student, rng: np.random.Generator) -> None:
    """No merge reaches across the beginning of a piece, even where the merges would allow it."""
    for _ in range(3):
        a, b = _letters(rng, 2)
        merges = [(a, b" "), (b, a), (b" ", b" "), (b" ", a), (b + a, b"\n"), (b"\n", b"\n")]
        merges += [(b"\n", b + a), (a, a)]
        vocab = _vocabulary(rng, merges, ())
        t = _tokenizer(student, vocab, merges)
        for _ in range(8):
            text = b"".join(_words(rng, [a, b, b" ", b"\n", b" "], 1, 8, 25))
            _encoded(t, text, vocab, merges, (), "Merges work within a piece; a piece begins at every whitespace byte.")


@hidden(TOKENIZER, weight=2)
def specials_first_and_longest_first(student: Student, rng: np.random.Generator) -> None:
    """Special tokens become one id each, the longest at each place, wherever they stand and whatever the merges say."""
    for k in range(3):
        letters = _letters(rng, 4)
        x = letters[0]
        specials = [b"<" + x + b">", b"<" + x + b"><" + x + b">", b"<" + x + b">" + letters[1], b"<end of\ntext>"]
        # The place in the list must not matter: at first a longer one stands before the one that it begins with, then behind.
        order = ([1, 2, 0, 3], [0, 1, 2, 3], rng.permutation(4))[k]
        specials = [specials[int(i)] for i in order]
        merges = [(b"<", x), (b"<" + x, b">"), (b">", letters[1]), (letters[2], b"<")]
        vocab = _vocabulary(rng, [m for m in merges if m[0] + m[1] not in specials], specials)
        t = _tokenizer(student, vocab, merges, specials)
        for _ in range(6):
            bits = [*specials, *letters, b" ", b"<", b">", b"<end of"]
            text = b"".join(bits[int(i)] for i in rng.integers(0, len(bits), 20))
            _encoded(t, text, vocab, merges, specials, "Specials first, at each place the longest; then the rest, in between.")


class _Chunks:
    """A text that is read in chunks. `n_read` says how much of it has been."""

    def __init__(self, text: bytes, rng: np.random.Generator, high: int) -> None:
        self.chunks: list[bytes] = []
        while text:
            n = int(rng.integers(1, high))
            self.chunks.append(text[:n])
            text = text[n:]
        self.n_read = 0

    def read(self) -> bytes:
        self.n_read += 1
        return self.chunks[self.n_read - 1] if self.n_read <= len(self.chunks) else b""


def _streamed(t: StudentObject, chunks: _Chunks) -> Iterator[Any]:
    found = t.call("encode_iter", chunks.read)
    if isinstance(found, (list, tuple)):
        yield from found
    else:
        for _, value in zip(range(100_000), found, strict=False):
            yield value


@hidden(TOKENIZER, weight=3)
def any_chunks_give_the_same(student: Student, rng: np.random.Generator) -> None:
    """encode_iter gives the ids of the whole text, wherever it is cut: in a merge, a character, a special, a space."""
    letters = _letters(rng, 3)
    specials = [b"<|" + letters[0] + b"|>", b"<|" + letters[0] + b"|><|b|>", b"<the end>"]
    for high, given in ((2, specials), (5, specials), (12, []), (3, [])):
        merges = _drawn_merges(rng, letters, 12, [(b" ", letter) for letter in letters])
        vocab = _vocabulary(rng, merges, given)
        t = _tokenizer(student, vocab, merges, given)
        bits = [*specials, *letters, *letters, b" ", b"\n", b" ", "é".encode(), b"<", b"<|" + letters[0] + b"|><|b", b"<the "]
        for _ in range(4):
            text = b"".join(bits[int(i)] for i in rng.integers(0, len(bits), 25))
            chunks = _Chunks(text, rng, high)
            found = [vocab.get(i) for i in _ids(list(_streamed(t, chunks)), "what encode_iter yields")]
            wanted = _encode(text, merges, given)
            at = next((i for i, (x, y) in enumerate(zip(found, wanted, strict=False)) if x != y), min(len(found), len(wanted)))
            said = f"chunks of up to {high - 1} bytes of {text[:30]!r}...: token number {at} is {found[at : at + 1]}, "
            slip = "What can the next chunk still change? A piece ends where the next begins; a special may be about to grow."
            assert found == wanted, f"{said}expected {wanted[at : at + 1]} as in the whole text. {slip}"


@hidden(TOKENIZER, weight=1)
def ids_come_while_reading(student: Student, rng: np.random.Generator) -> None:
    """A text of many short pieces is not read to its end before the first id comes, nor is the middle."""
    letters = _letters(rng, 4)
    merges = _drawn_merges(rng, [*letters, b" "], 8)
    for given in ([], [b"<|end|>"]):
        vocab = _vocabulary(rng, merges, given)
        t = _tokenizer(student, vocab, merges, given)
        text = b" ".join(_words(rng, letters, 120, 1, 6))
        chunks = _Chunks(text, rng, 8)
        n_tokens = len(_encode(text, merges, given))
        for i, _ in enumerate(_streamed(t, chunks)):
            share = chunks.n_read / len(chunks.chunks)
            said = f"{len(text)} bytes: {share:.0%} of the chunks were read before id {i} of {n_tokens} came"
            assert share < i / n_tokens + 0.3, f"{said}. Which ids can no longer change?"
            if i > n_tokens // 2:
                break
