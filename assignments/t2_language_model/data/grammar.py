"""A seed in, a text of the toy grammar out: `corpus(n, seed)`. Standard library only.

Sentences about animals, in the present tense. A verb agrees with its subject, however far away that stands; a name that is
asked about is one that was mentioned. So there is something to learn at every distance, and mistakes can be seen.
"""

from __future__ import annotations

import random

NOUNS = ("cat", "dog", "frog", "owl", "hen", "goat", "crow", "hare", "mole", "newt")
ADJECTIVES = ("old", "small", "grey", "quick", "sleepy", "clever", "hungry", "quiet")
SEEN = ("see", "follow", "like", "hear", "find", "chase")
ALONE = ("sleep", "run", "sing", "wait", "hide", "dream")
PLACES = ("in the barn", "near the river", "under the tree", "behind the hill", "on the roof")
NAMES = ("Ada", "Ben", "Cleo", "Dov", "Edie", "Finn")


def phrase(rng: random.Random, plural: bool, depth: int = 0) -> str:
    """Return a subject or an object, which may hold a clause of its own."""
    adjective = rng.choice(ADJECTIVES) + " " if rng.random() < 0.5 else ""
    noun = rng.choice(NOUNS) + ("s" if plural else "")
    clause = ""
    if depth == 0 and rng.random() < 0.3:
        clause = f" that {phrase(rng, other := rng.random() < 0.5, 1)} {verb(rng.choice(SEEN), other)}"
    article = "the" if plural or rng.random() < 0.5 else "an" if (adjective + noun)[0] in "aeiou" else "a"
    return f"{article} {adjective}{noun}{clause}"


def verb(stem: str, plural: bool) -> str:
    """Return the form that agrees with the subject."""
    return stem if plural else stem + "s"


def sentence(rng: random.Random) -> str:
    """Return one sentence, or an exchange about a name."""
    plural = rng.random() < 0.5
    if rng.random() < 0.15:
        name = rng.choice(NAMES)
        return f"{name} {verb(rng.choice(ALONE), False)} {rng.choice(PLACES)}. Who is there? {name} is there."
    subject = phrase(rng, plural)
    if rng.random() < 0.5:
        rest = f"{verb(rng.choice(SEEN), plural)} {phrase(rng, rng.random() < 0.5, 1)}"
    else:
        rest = verb(rng.choice(ALONE), plural)
    place = " " + rng.choice(PLACES) if rng.random() < 0.3 else ""
    return f"{subject[0].upper()}{subject[1:]} {rest}{place}."


def corpus(n: int, seed: int) -> str:
    """Return about n characters of sentences, parted by spaces and now and then by a line break."""
    rng = random.Random(seed)
    parts: list[str] = []
    length = 0
    while length < n:
        parts.append(sentence(rng) + ("\n" if rng.random() < 0.1 else " "))
        length += len(parts[-1])
    return "".join(parts)
