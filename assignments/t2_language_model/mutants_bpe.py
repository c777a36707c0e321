"""Wrong and right answers to T2's tokenisation: train_bpe, Tokenizer.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

BPE, TOKENIZER = "t2_language_model.train_bpe", "t2_language_model.tokenizer"

# -- train_bpe -------------------------------------------------------------------------------------------------------------

mutant_edit(
    BPE,
    (
        "            if counted_at.get(pair) != i - 1:\n                found[pair] += 1\n                counted_at[pair] = i\n",
        "            found[pair] += 1\n",
    ),
    caught_by=("runs_count_as_they_merge", "merges_by_hand"),
    label="overlapping pairs counted twice",
    hint="You count (a, a) twice in aaa, where only one merge is possible.",
)
mutant_edit(
    BPE,
    (
        "            if counted_at.get(pair) != i - 1:\n                found[pair] += 1\n                counted_at[pair] = i\n",
        "            found[pair] = 1\n",
    ),
    caught_by=("merges_of_drawn_texts", "runs_count_as_they_merge"),
    label="a pair counts once per piece",
    hint="You count in how many pieces a pair stands, not how often.",
)
mutant_edit(
    BPE,
    ("if counted_at.get(pair) != i - 1:", "if pair[0] != pair[1] or pair not in counted_at:"),
    ("                counted_at[pair] = i\n", "                counted_at[pair] = i\n"),
    caught_by="runs_count_as_they_merge",
    label="a run counts once, however long",
    hint="You count (a, a) once in a run of any length; aaaa brings two merges.",
)
mutant_edit(
    BPE,
    ("key=lambda pair: (counts[pair], pair)", "key=lambda pair: counts[pair]"),
    caught_by=("equals_go_to_the_larger_pair", "merges_by_hand"),
    label="ties by first seen",
    hint="Among equally frequent pairs you take the one that was seen first. The docstring names another rule.",
)
mutant_edit(
    BPE,
    ("best = max(counts, key=lambda pair: (counts[pair], pair))", "best = min(counts, key=lambda pair: (-counts[pair], pair))"),
    caught_by=("equals_go_to_the_larger_pair", "merges_by_hand"),
    label="ties to the smaller pair",
    hint="Among equally frequent pairs you take the smallest one.",
)
mutant_edit(
    BPE,
    ("key=lambda pair: (counts[pair], pair)", "key=lambda pair: (counts[pair], pair[0] + pair[1])"),
    caught_by="equals_go_to_the_larger_pair",
    label="ties by the joined bytes",
    hint="Among equally frequent pairs you compare the joined bytes. The pairs are to be compared, their left parts first.",
)
mutant_edit(
    BPE,
    ("key=lambda pair: (counts[pair], pair)", "key=lambda pair: (counts[pair], len(pair[0] + pair[1]), pair)"),
    caught_by="equals_go_to_the_larger_pair",
    label="ties to the longer token",
    hint="Among equally frequent pairs you take the longest one. Larger is meant as Python compares bytes.",
)
mutant_edit(
    BPE,
    ("if specials else [text]", "if False else [text]"),
    caught_by=("specials_are_never_merged", "merges_by_hand"),
    label="merges within and across special tokens",
    hint="Your pairs are counted within special tokens and across them. Cut the text there first.",
)
mutant_edit(
    BPE,
    ("often = Counter(piece for part in parts for piece in pieces(part))", 'often = Counter(pieces(b"".join(parts)))'),
    caught_by=("specials_are_never_merged", "merges_by_hand"),
    label="specials are removed and the gap is closed",
    hint="You remove the special tokens, and what stood on either side becomes neighbours.",
)
mutant_edit(
    BPE,
    ("sorted(specials, key=len, reverse=True)", "sorted(specials, key=len)"),
    caught_by="specials_are_never_merged",
    label="the shorter special wins",
    hint="Where two special tokens begin at the same place you cut out the shorter one, and the rest is counted as text.",
)
mutant_edit(
    BPE,
    ("re.escape(s) for s in longest_first", "s for s in longest_first"),
    caught_by="specials_are_never_merged",
    label="specials are taken for regular expressions",
    hint="Your special tokens are read as regular expressions: a bar or a bracket in them does not stand for itself.",
)
mutant_edit(
    BPE,
    ("for piece in pieces(part))", "for piece in [part])"),
    caught_by=("merges_by_hand", "merges_of_drawn_texts"),
    label="merges across pieces",
    hint="Your merges reach across the pieces: they contain whitespace in the middle.",
)
mutant_edit(
    BPE,
    ("for piece in pieces(part))", "for piece in part.split())"),
    caught_by=("merges_by_hand", "merges_of_drawn_texts"),
    label="whitespace is dropped",
    hint="The whitespace is missing from your pieces: it belongs to the piece that it begins.",
)
mutant_edit(
    BPE,
    ("    times = list(often.values())", "    times = [1] * len(words)"),
    caught_by=("merges_by_hand", "merges_of_drawn_texts"),
    label="every different piece counts once",
    hint="You count every different piece once, however often it stands in the text.",
)
mutant_edit(
    BPE,
    ("                counts[pair] -= n * times[w]\n", "                counts[pair] -= n\n"),
    caught_by=("merges_of_drawn_texts", "a_long_text"),
    label="old counts are taken back once, not as often as the piece stands there",
    hint="After a merge the counts of pairs that are gone are too high.",
)
mutant_edit(
    BPE,
    (
        "            for pair, n in pair_counts(words[w]).items():\n"
        "                counts[pair] += n * times[w]\n"
        "                where[pair].add(w)\n",
        "",
    ),
    caught_by=("merges_by_hand", "merges_of_drawn_texts"),
    label="new pairs are not counted",
    hint="Only pairs of single bytes are merged: after a merge the new token is nobody's neighbour.",
)
mutant_edit(
    BPE,
    ("    while counts and len(vocab) < vocab_size:", "    while counts and len(merges) < vocab_size - 256:"),
    caught_by=("vocabulary_is_laid_out_as_promised",),
    label="specials are not counted in vocab_size",
    hint="vocab has more entries than vocab_size when there are special tokens.",
)
mutant_edit(
    BPE,
    ("    while counts and len(vocab) < vocab_size:", "    while counts and max(counts.values()) > 1 and len(vocab) < vocab_size:"),
    caught_by=("merges_by_hand", "vocabulary_is_laid_out_as_promised"),
    label="pairs that occur once are not merged",
    hint="You stop when no pair occurs twice. Learning stops only when no pair is left.",
)
mutant_edit(
    BPE,
    ("    while counts and len(vocab) < vocab_size:", "    while len(vocab) < vocab_size:"),
    caught_by="vocabulary_is_laid_out_as_promised",
    label="does not stop when nothing is left",
    hint="When no pair is left your function raises an error.",
)
mutant_edit(
    BPE,
    (" | {256 + i: s for i, s in enumerate(specials)}", ""),
    ("    return vocab, merges\n", "    return vocab | {len(vocab) + i: s for i, s in enumerate(specials)}, merges\n"),
    ("len(vocab) < vocab_size:", "len(vocab) + len(specials) < vocab_size:"),
    caught_by="vocabulary_is_laid_out_as_promised",
    label="specials come last",
    hint="The special tokens come behind the merges in your vocab. The docstring gives the order.",
)
mutant_edit(
    BPE,
    (" | {256 + i: s for i, s in enumerate(specials)}", ""),
    ("    vocab = {i:", "    vocab = {i: s for i, s in enumerate(specials)} | {len(specials) + i:"),
    caught_by="vocabulary_is_laid_out_as_promised",
    label="specials come first",
    hint="The special tokens come before the bytes in your vocab. The docstring gives the order.",
)
mutant_edit(
    BPE,
    ("if vocab_size < 256 + len(specials):", "if vocab_size < 256:"),
    caught_by="vocabulary_is_laid_out_as_promised",
    label="too small a vocabulary is accepted",
    hint="A vocab_size in which bytes and specials do not fit should raise ValueError.",
)
mutant_edit(
    BPE,
    (
        "            here = tuple(word[i : i + 2]) == pair\n"
        "            out.append(word[i] + word[i + 1] if here else word[i])\n"
        "            i += 2 if here else 1\n",
        "            here = tuple(word[i : i + 2]) == pair and pair[0] + pair[1] not in out\n"
        "            out.append(word[i] + word[i + 1] if here else word[i])\n"
        "            i += 2 if here else 1\n",
    ),
    caught_by=("merges_by_hand", "merges_of_drawn_texts"),
    label="only the first place in a piece is merged",
    hint="In each piece only the first occurrence of the pair is merged.",
)


@mutant(BPE, caught_by="merges_by_hand", hint="Characters are merged in your solution. It is to work on bytes.")
def train_bpe(text, vocab_size, specials=()):
    """the most frequent bytes in place of pairs"""
    vocab = {i: bytes([i]) for i in range(256)} | {256 + i: s for i, s in enumerate(specials)}
    counts, merges = Counter(pairwise(bytes([x]) for x in text)), []
    for pair, _ in counts.most_common(vocab_size - len(vocab)):
        merges.append(pair)
        vocab[len(vocab)] = pair[0] + pair[1]
    return vocab, merges


@alternative(BPE, label="counts everything again at every merge")
def train_bpe(text: bytes, vocab_size: int, specials: Sequence[bytes] = ()):
    if vocab_size < 256 + len(specials):
        raise ValueError("too small")
    parts = [text]
    if specials:
        parts = re.split(b"|".join(map(re.escape, sorted(specials, key=lambda s: -len(s)))), text)
    words = Counter()
    for part in parts:
        for piece in pieces(part):
            words[tuple(bytes([x]) for x in piece)] += 1
    tokens, merges = [bytes([i]) for i in range(256)] + list(specials), []
    while len(tokens) < vocab_size:
        counts = {}
        for word, n in words.items():
            i = 0
            while i < len(word) - 1:
                pair = word[i], word[i + 1]
                counts[pair] = counts.get(pair, 0) + n
                # Where three equal tokens follow each other, the second place overlaps the first.
                if i + 2 < len(word) and word[i] == word[i + 1] == word[i + 2]:
                    run = i
                    while run < len(word) and word[run] == word[i]:
                        run += 1
                    counts[pair] += n * ((run - i) // 2 - 1)
                    i = run - 1
                else:
                    i += 1
        if not counts:
            break
        top = max(counts.values())
        a, b = max(pair for pair, n in counts.items() if n == top)
        merges.append((a, b))
        tokens.append(a + b)
        fresh = Counter()
        for word, n in words.items():
            out = []
            for token in word:
                if out and out[-1] == a and token == b:
                    out[-1] = (a + b, None)
                else:
                    out.append(token)
            fresh[tuple(x[0] if isinstance(x, tuple) else x for x in out)] += n
        words = fresh
    return dict(enumerate(tokens)), merges


@alternative(BPE, label="numbers in place of bytes")
def train_bpe(text: bytes, vocab_size: int, specials=()):
    vocab = {i: bytes([i]) for i in range(256)}
    for s in specials:
        vocab[len(vocab)] = s
    if len(vocab) > vocab_size:
        raise ValueError(vocab_size)
    parts = [text]
    for s in sorted(specials, key=len, reverse=True):
        # A shorter special never hides within a longer one that is already cut out.
        parts = [p for part in parts for p in part.split(s)] if len(specials) == 1 else parts
    if len(specials) > 1:
        parts = re.compile(b"|".join(re.escape(s) for s in sorted(specials, key=len)[::-1])).split(text)
    words = [list(piece) for part in parts for piece in pieces(part)]
    merges = []
    often = Counter(map(tuple, words))
    while len(vocab) < vocab_size:
        counts = defaultdict(int)
        for word, n in often.items():
            at = {}
            for i in range(len(word) - 1):
                pair = word[i : i + 2]
                if at.get(pair, -2) < i - 1:
                    counts[pair] += n
                    at[pair] = i
        if not counts:
            break
        best = max(counts.items(), key=lambda item: (item[1], vocab[item[0][0]], vocab[item[0][1]]))[0]
        new = len(vocab)
        vocab[new] = vocab[best[0]] + vocab[best[1]]
        merges.append((vocab[best[0]], vocab[best[1]]))
        after = Counter()
        for word, n in often.items():
            out, i = [], 0
            while i < len(word):
                if word[i : i + 2] == best:
                    out.append(new)
                    i += 2
                else:
                    out.append(word[i])
                    i += 1
            after[tuple(out)] += n
        often = after
    return vocab, merges


@alternative(BPE, label="one string, counted by str.count")
def train_bpe(text: bytes, vocab_size: int, specials: Sequence[bytes] = ()):
    if vocab_size < 256 + len(specials):
        raise ValueError
    vocab = dict(enumerate([bytes([i]) for i in range(256)] + list(specials)))
    pattern = b"|".join(re.escape(s) for s in sorted(specials, key=len, reverse=True))
    often = Counter(p for part in (re.split(pattern, text) if specials else [text]) for p in pieces(part))
    names = {bytes([i]): chr(0x4E00 + i) for i in range(256)}
    back = {c: token for token, c in names.items()}
    words = {"".join(names[bytes([x])] for x in piece): n for piece, n in often.items()}
    merges = []
    while len(vocab) < vocab_size:
        counts = Counter()
        for word, n in words.items():
            for pair in {word[i : i + 2] for i in range(len(word) - 1)}:
                counts[pair] += n * word.count(pair)
        if not counts:
            break
        best = max(counts, key=lambda p: (counts[p], back[p[0]], back[p[1]]))
        left, right = back[best[0]], back[best[1]]
        merges.append((left, right))
        vocab[len(vocab)] = left + right
        char = chr(0x4F00 + len(merges))
        back[char] = left + right
        joined = Counter()
        for word, n in words.items():
            joined[word.replace(best, char)] += n
        words = joined
    return vocab, merges


alternative_edit(
    BPE,
    (
        "best = max(counts, key=lambda pair: (counts[pair], pair))",
        "best = sorted(counts.items(), key=lambda item: (item[1], item[0]))[-1][0]",
    ),
    label="sorted in place of max",
)

# -- Tokenizer -------------------------------------------------------------------------------------------------------------

mutant_edit(
    TOKENIZER,
    (
        "best = min(pairwise(word), key=lambda pair: self.rank.get(pair, math.inf))",
        "best = next((pair for pair in pairwise(word) if pair in self.rank), word)",
    ),
    ("            if best not in self.rank:", "            if best is word:"),
    caught_by="merges_by_rank",
    label="merges from left to right, whatever the rank",
    hint="You merge the leftmost pair that can be merged. The rank decides, not the place.",
)
mutant_edit(
    TOKENIZER,
    ("key=lambda pair: self.rank.get(pair, math.inf))", "key=lambda pair: -self.rank.get(pair, -1))"),
    caught_by="merges_by_rank",
    label="the latest merge first",
    hint="You apply the merges that were learned last first.",
)
mutant_edit(
    TOKENIZER,
    (
        "                i += 2 if here else 1\n            word = out",
        "                i += 2 if here else 1\n            word = out\n            break",
    ),
    caught_by="merges_by_rank",
    label="merges once",
    hint="After the first merge you stop. It goes on until no pair of neighbours is among the merges.",
)
mutant_edit(
    TOKENIZER,
    (
        "            out += self._plain(text[start : match.start()])\n            out.append(self.ids[match.group()])\n",
        "            out += self._plain(text[start : match.end()])\n",
    ),
    caught_by="specials_first_and_longest_first",
    label="specials are encoded like text",
    hint="Special tokens come out in parts: each is one id.",
)
mutant_edit(
    TOKENIZER,
    ("longest_first = sorted(specials, key=len, reverse=True)", "longest_first = sorted(specials, key=len)"),
    caught_by="specials_first_and_longest_first",
    label="the shorter special wins",
    hint="Where two special tokens begin at the same place, you take the shorter one.",
)
mutant_edit(
    TOKENIZER,
    ("longest_first = sorted(specials, key=len, reverse=True)", "longest_first = list(specials)"),
    caught_by="specials_first_and_longest_first",
    label="the special that is listed first wins",
    hint="Where two special tokens begin at the same place, you take the one that is listed first.",
)
mutant_edit(
    TOKENIZER,
    ("re.escape(s) for s in longest_first", "s for s in longest_first"),
    caught_by=("round_trip", "any_chunks_give_the_same"),
    label="specials are taken for regular expressions",
    hint="Your special tokens are read as regular expressions: a bar in them means 'or'.",
)
mutant_edit(
    TOKENIZER,
    ("for piece in pieces(text) for token", "for piece in [text] for token"),
    caught_by="pieces_stay_apart",
    label="merges across pieces",
    hint="Your merges reach across the beginning of a piece.",
)
mutant_edit(
    TOKENIZER,
    ("for piece in pieces(text) for token", "for piece in text.split() for token"),
    caught_by="round_trip",
    label="whitespace is lost",
    hint="The whitespace of the text is missing after decoding.",
)
mutant_edit(
    TOKENIZER,
    (
        '        return b"".join(self.vocab[i] for i in ids)',
        '        return b"".join(self.vocab[i] for i in ids).decode("utf-8", errors="replace").encode()',
    ),
    caught_by="round_trip",
    label="invalid UTF-8 is replaced",
    hint="Bytes that are no valid UTF-8 come back as something else. decode returns bytes: nothing needs to be valid.",
)
mutant_edit(
    TOKENIZER,
    (
        '        return b"".join(self.vocab[i] for i in ids)',
        '        return b"".join(self.vocab[i] for i in ids).decode("utf-8", errors="replace")',
    ),
    caught_by="round_trip",
    label="decode returns a str",
    hint="decode returns a str. Any bytes are a text here, so it has to return bytes.",
)
mutant_edit(
    TOKENIZER,
    (
        "[self.ids[token] for piece in pieces(text) for token in self._merge(piece)]",
        "[token[0] if len(token) == 1 else self.ids[token] for piece in pieces(text) for token in self._merge(piece)]",
    ),
    caught_by=("merges_by_rank", "round_trip"),
    label="a byte's id is the byte",
    hint="You take a byte for its id. The ids are those of vocab, whatever they are.",
)
mutant_edit(
    TOKENIZER,
    (
        'waiting = b""\n        while chunk := read():\n',
        'waiting = b""\n        while chunk := read():\n            yield from self.encode(chunk)\n            continue\n',
    ),
    caught_by="any_chunks_give_the_same",
    label="a chunk boundary splits a merge",
    hint="Each chunk is encoded by itself: what a merge or a special token needs may come with the next chunk.",
)
mutant_edit(
    TOKENIZER,
    ("            waiting += chunk\n", "            waiting += chunk\n            continue\n"),
    caught_by="ids_come_while_reading",
    label="reads the whole text first",
    hint="The whole text is read before the first id comes.",
)
mutant_edit(
    TOKENIZER,
    ("decided = len(waiting) - self.longest + 1", "decided = len(waiting)"),
    caught_by="any_chunks_give_the_same",
    label="a special cut by a chunk is not recognised",
    hint="A special token that a chunk boundary cuts, or that the next chunk makes longer, is not recognised.",
)
mutant_edit(
    TOKENIZER,
    ("            end = start + (spaces[-1] if spaces else 0)", "            end = max(start, decided)"),
    caught_by="any_chunks_give_the_same",
    label="a piece cut by a chunk is encoded in two parts",
    hint="A piece that goes on in the next chunk is encoded in two parts.",
)
mutant_edit(
    TOKENIZER,
    ("        yield from self.encode(waiting)", "        return"),
    caught_by="any_chunks_give_the_same",
    label="the end of the text is forgotten",
    hint="What is still waiting when the last chunk has been read is never encoded.",
)
mutant_edit(
    TOKENIZER,
    ("            end = start + (spaces[-1] if spaces else 0)", "            end = start + (spaces[-1] + 1 if spaces else 0)"),
    caught_by="any_chunks_give_the_same",
    label="the whitespace is parted from its word",
    hint="The whitespace byte is encoded with the piece before it. It begins the next piece.",
)


@mutant(
    TOKENIZER,
    caught_by="merges_by_rank",
    hint="You take the longest token that fits. Merges are applied by rank, whatever comes out.",
)
class Tokenizer:
    """greedy longest match instead of merge rank"""

    def __init__(self, vocab, merges, specials=()):
        self.vocab, self.specials = vocab, sorted(specials, key=len, reverse=True)
        self.ids = {t: i for i, t in vocab.items()}
        self.tokens = sorted({bytes([i]) for i in range(256)} | {a + b for a, b in merges}, key=len, reverse=True)

    def encode(self, text):
        out = []
        parts = re.split(b"(" + b"|".join(map(re.escape, self.specials)) + b")", text) if self.specials else [text]
        for part in parts:
            if part in self.specials:
                out.append(self.ids[part])
                continue
            for piece in pieces(part):
                while piece:
                    token = next(t for t in self.tokens if piece.startswith(t))
                    out.append(self.ids[token])
                    piece = piece[len(token) :]
        return out

    def decode(self, ids):
        return b"".join(self.vocab[i] for i in ids)

    def encode_iter(self, read):
        yield from self.encode(b"".join(iter(read, b"")))


@alternative(TOKENIZER, label="each merge in turn, and a state that waits for whitespace")
class Tokenizer:
    def __init__(self, vocab, merges, specials=()):
        self.vocab = vocab
        self.to_id = {token: i for i, token in vocab.items()}
        self.merges = [tuple(m) for m in merges]
        self.specials = sorted(specials, key=len, reverse=True)

    def _piece(self, piece):
        word = [piece[i : i + 1] for i in range(len(piece))]
        for a, b in self.merges:
            i = 0
            while i + 1 < len(word):
                if word[i] == a and word[i + 1] == b:
                    word[i : i + 2] = [a + b]
                i += 1
        return [self.to_id[t] for t in word]

    def _parts(self, text):
        parts = [(text, False)]
        if self.specials:
            split = re.split(b"(" + b"|".join(re.escape(s) for s in self.specials) + b")", text)
            parts = [(part, i % 2 == 1) for i, part in enumerate(split)]
        return parts

    def encode(self, text):
        out = []
        for part, special in self._parts(text):
            if special:
                out.append(self.to_id[part])
            else:
                for piece in pieces(part):
                    out.extend(self._piece(piece))
        return out

    def decode(self, ids):
        out = bytearray()
        for i in ids:
            out += self.vocab[i]
        return bytes(out)

    def encode_iter(self, read):
        longest = max(map(len, self.specials), default=1)
        plain, rest, ended = b"", b"", False
        while not ended:
            chunk = read()
            ended = not chunk
            rest += chunk
            while rest and (ended or len(rest) >= longest):
                special = next((s for s in self.specials if rest.startswith(s)), None)
                if special is not None:
                    yield from self._piece(plain)
                    yield self.to_id[special]
                    plain, rest = b"", rest[len(special) :]
                    continue
                byte, rest = rest[:1], rest[1:]
                if byte.isspace():
                    yield from self._piece(plain)
                    plain = b""
                plain += byte
        yield from self._piece(plain)


@alternative(TOKENIZER, label="a heap of pairs, and lists of ids")
class Tokenizer:
    def __init__(self, vocab: dict[int, bytes], merges: Sequence[tuple[bytes, bytes]], specials: Sequence[bytes] = ()) -> None:
        self.names = list(vocab.items())
        self.id_of = {token: i for i, token in self.names}
        self.made = {(self.id_of[a], self.id_of[b]): (rank, self.id_of[a + b]) for rank, (a, b) in enumerate(merges)}
        self.specials = list(specials)

    def encode(self, text: bytes) -> list[int]:
        return list(self._encode(text))

    def _encode(self, text):
        start = i = 0
        while i < len(text):
            fitting = [s for s in self.specials if text[i : i + len(s)] == s]
            if fitting:
                yield from self._words(text[start:i])
                longest = max(fitting, key=len)
                yield self.id_of[longest]
                i = start = i + len(longest)
            else:
                i += 1
        yield from self._words(text[start:])

    def _words(self, text):
        for piece in pieces(text):
            yield from self._one(piece)

    def _one(self, piece):
        import heapq
        import itertools

        ids = [self.id_of[bytes([x])] for x in piece]
        after = [*range(1, len(ids)), -1]
        heap = []
        for i, pair in enumerate(itertools.pairwise(ids)):
            if pair in self.made:
                heapq.heappush(heap, (self.made[pair][0], i))
        while heap:
            rank, i = heapq.heappop(heap)
            j = after[i] if ids[i] is not None else -1
            if j < 0 or self.made.get((ids[i], ids[j]), (None,))[0] != rank:
                continue
            ids[i], ids[j], after[i] = self.made[ids[i], ids[j]][1], None, after[j]
            before = next((b for b in range(i - 1, -1, -1) if ids[b] is not None), -1)
            for left in (before, i):
                right = after[left] if left >= 0 else -1
                if right >= 0 and (ids[left], ids[right]) in self.made:
                    heapq.heappush(heap, (self.made[ids[left], ids[right]][0], left))
        return [i for i in ids if i is not None]

    def decode(self, ids: Sequence[int]) -> bytes:
        vocab = dict(self.names)
        return b"".join([vocab[int(i)] for i in ids])

    def encode_iter(self, read: Callable[[], bytes]) -> Iterator[int]:
        # Hold back more than is needed: whole lines of at least a hundred bytes, and never a part that could be a special.
        hold = 20 + max([len(s) for s in self.specials] or [0])
        text = b""
        for chunk in iter(read, b""):
            text += chunk
            cut = len(text) - hold
            while cut > 0 and not (text[cut : cut + 1].isspace() and self._is_outside(text, cut)):
                cut -= 1
            if cut > 0:
                yield from self._encode(text[:cut])
                text = text[cut:]
        yield from self._encode(text)

    def _is_outside(self, text, cut):
        """Say whether no special token reaches across this place."""
        i = 0
        while i < cut:
            longest = max((len(s) for s in self.specials if text.startswith(s, i)), default=0)
            if i + longest > cut:
                return False
            i += longest or 1
        return True


alternative_edit(
    TOKENIZER,
    (
        "                here = tuple(word[i : i + 2]) == best\n"
        "                out.append(word[i] + word[i + 1] if here else word[i])\n"
        "                i += 2 if here else 1\n",
        "                if i + 1 < len(word) and (word[i], word[i + 1]) == best:\n"
        "                    out.append(word[i] + word[i + 1])\n"
        "                    i = i + 2\n"
        "                    continue\n"
        "                out.append(word[i])\n"
        "                i = i + 1\n",
    ),
    label="an if in place of arithmetic",
)
