"""A term as pages see it: a built course of six assignments and a ledger of 24 students in week five, from a fixed seed.

The numbers are drawn, not graded: ability and difficulty decide who passes, so that tables and plots look like a class.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from autograder.course import Course, Exercise, Manifest, ManifestCell, load
from autograder.grading.verdict import CheckResult, Graded, Status, Verdict
from autograder.records import Attempt, Ledger

START = datetime(2026, 10, 5, 9, tzinfo=UTC)
NOW = START + timedelta(weeks=5, days=-1)
COHORT = "2026"
ABLE = {"carmen": 9.0, "noor": 3.2, "quentin": 2.4}  # the others are drawn
N_OPEN = 5  # assignments that students have had time for

NAMES = (
    "ada", "amir", "anouk", "bela", "carmen", "chidi", "dana", "emeka", "fatima", "gustav", "hana", "ilse",
    "jonas", "kofi", "leila", "mateo", "noor", "olu", "priya", "quentin", "rosa", "sven", "tomas", "yuki",
)  # fmt: skip

ASSIGNMENTS = {
    "f1_tensors": ("Tensors, einsum, indexing", "foundations"),
    "f2_autograd": ("Build your own autograd", "foundations"),
    "f3_training": ("Modules, losses, optimisers, training loops", "foundations"),
    "f4_convolutions": ("Convolutions, normalisation, ResNet", "foundations"),
    "t1_attention": ("Attention and a GPT block from scratch", "transformers"),
    "t2_sampling": ("Tokenise, train, sample, cache", "transformers"),
}

EXERCISES = {
    "f1_tensors": "pairwise_sq_dists bilinear patchify masked_mean logsumexp next_token_logprobs sliding_windows scatter_mean",
    "f2_autograd": "central_difference unbroadcast vjp_matmul vjp_reduce tensor topological_order backward gradcheck",
    "f3_training": "linear layer_norm embedding dropout cross_entropy sgd adamw clip_grad_norm warmup_cosine fit",
    "f4_convolutions": "conv1d conv2d max_pool2d batch_norm residual_block tiny_resnet fold_batchnorm receptive_field",
    "t1_attention": "causal_mask attention multi_head_attention positions rope block mlp gpt param_count previous_token_head",
    "t2_sampling": "train_bpe tokenizer get_batch lm_loss top_k_top_p sample penalties beam_search kv_cache",
}

TITLES = {
    "causal_mask": "A mask that looks backwards only",
    "attention": "Scaled dot-product attention",
    "multi_head_attention": "Many heads, and groups that share keys",
    "positions": "Position tables",
    "rope": "Rotary positions",
    "block": "Normalisation and a residual block",
    "mlp": "The feed-forward part",
    "gpt": "A small GPT",
    "param_count": "Counting parameters and FLOPs",
    "previous_token_head": "A head made by hand",
}

HINTS = {
    "causal_mask": "n=5: some query sees a later key. Upper or lower triangle?",
    "attention": "Row 0 sums to 0.25, not 1 (t=4). Is the softmax over the key axis (the last one)?",
    "multi_head_attention": "With 2 key heads and 4 query heads, head 1 reads the values of group 1. Are repeats interleaved?",
    "positions": "Entry (3, 1) is 0.9553, expected cos(3). Do sine and cosine alternate?",
    "rope": "Shifting every position by 7 changes the scores. Do you rotate by position, or by index in the tensor?",
    "block": "With both sublayers zeroed the block is not the identity. Is the residual added before or after the norm?",
    "gpt": "Logits at position 2 change when token 5 changes.",
}
# What an answer is told that behaves like a mutant, in place of the check's hint.
SLIPS = {"rope": "It rotates neighbouring pairs; the definition pairs each entry with the one half a head away."}
OTHER_HINT = "The result differs from the definition at shape (2, 3, 4). Which axis do you reduce?"


BUILD = "6f0c1d7e2a9b4c35"
MIXED = {
    "t1_attention.causal_mask": (Status.PASS, 1.0),
    "t1_attention.attention": (Status.PASS, 1.0),
    "t1_attention.multi_head_attention": (Status.FAIL, 0.5),
    "t1_attention.positions": (Status.PASS, 1.0),
    "t1_attention.rope": (Status.FAIL, 0.0),
    "t1_attention.block": (Status.PASS, 1.0),
    "t1_attention.mlp": (Status.PASS, 1.0),
    "t1_attention.gpt": (Status.INFRA, 0.0),
    "t1_attention.param_count": (Status.TIMEOUT, 0.0),
    "t1_attention.previous_token_head": (Status.SKIPPED, 0.0),
}


@dataclass(frozen=True)
class World:
    """The course on disk and the filled ledger's address; `pseudonyms` maps names."""

    course: Course
    ledger_url: str
    pseudonyms: dict[str, str]


def make(root: Path, ledger_url: str) -> World:
    """Write the course below `root` and fill the ledger."""
    course = write_course(root)
    with Ledger.open(ledger_url, draw=_numbered()) as ledger:
        pseudonyms = {name: ledger.enrol(name, COHORT, START) for name in NAMES}
        difficulty = _difficulties(course)
        for name, pseudonym in pseudonyms.items():
            _Term(ledger, course, random.Random(f"{name} 7"), difficulty).live(name, pseudonym)
        _accidents(ledger, course, pseudonyms)
    return World(course, ledger_url, pseudonyms)


def add_cohort(world: World, cohort: str, n: int, shift: float) -> dict[str, str]:
    """Let a cohort of n live the same term a year earlier, its abilities moved by `shift`; return name -> pseudonym."""
    difficulty, draw = _difficulties(world.course), random.Random(f"{cohort} pseudonyms")
    with Ledger.open(world.ledger_url, draw=lambda: f"s{draw.getrandbits(64):016x}") as ledger:
        found = {f"{cohort}-{k:03}": ledger.enrol(f"{cohort}-{k:03}", cohort, START - timedelta(days=364)) for k in range(n)}
        for name, pseudonym in found.items():
            rng = random.Random(f"{name} 7")
            term = _Term(ledger, world.course, rng, difficulty, START - timedelta(days=364))
            term.live(name, pseudonym, ability=rng.gauss(0.2 + shift, 1.1))
    return found


def write_course(root: Path) -> Course:
    """Write course.toml and the built manifests."""
    lines = ['title = "Deep-learning bootcamp"']
    for week, (name, (title, track)) in enumerate(ASSIGNMENTS.items(), 1):
        due = (START + timedelta(weeks=week, hours=14)).isoformat()
        lines += ["[[assignment]]", f'id = "{name}"', f'title = "{title}"', f'track = "{track}"', f"week = {week}", f"due = {due}"]
        release = root / "release" / name
        release.mkdir(parents=True)
        (release / "assignment.json").write_text(json.dumps(_manifest(name).as_json()), "utf-8")
    (root / "assignments").mkdir()
    (root / "assignments" / "course.toml").write_text("\n".join(lines) + "\n", "utf-8")
    return load(root)


def graded(
    manifest: Manifest,
    statuses: dict[str, tuple[Status, float]],
    sha256: str,
    build: str = BUILD,
    notes: tuple[str, ...] = (),
) -> Graded:
    """Return a grading that says of each exercise its status and the share of its points."""
    verdicts = tuple(_verdict(e, *statuses[e.id]) for e in manifest.exercises)
    return Graded(manifest.assignment, sha256, verdicts, build, "B", notes)


def _accidents(ledger: Ledger, course: Course, pseudonyms: dict[str, str]) -> None:
    """What happens in every term: a box of ours that broke, a file that is no notebook, a hand-in that waits."""
    manifest = course.assignment("t1_attention").manifest()
    hours = {"priya": 3, "kofi": 2, "leila": 1}
    at = {name: NOW - timedelta(hours=h, minutes=17) for name, h in hours.items()}
    made = {name: Attempt.of(pseudonyms[name], manifest.assignment, f"{h:064x}", at[name]) for name, h in hours.items()}
    ledger.append(made["priya"], graded(manifest, MIXED, made["priya"].sha256), at["priya"] + timedelta(seconds=6))
    unreadable = Graded(
        manifest.assignment, made["kofi"].sha256, (), BUILD, "B", error="line 1: this is no JSON. Hand in the .ipynb file itself."
    )
    ledger.append(made["kofi"], unreadable, at["kofi"] + timedelta(seconds=1))
    ledger.receive(made["leila"])


class _Term:
    """One student's term: what they hand in, and when."""

    def __init__(
        self, ledger: Ledger, course: Course, rng: random.Random, difficulty: dict[str, float], start: datetime = START
    ) -> None:
        self.ledger, self.course, self.rng, self.difficulty, self.start = ledger, course, rng, difficulty, start

    def live(self, name: str, pseudonym: str, ability: float | None = None) -> None:
        if ability is None:
            ability = ABLE.get(name, self.rng.gauss(0.2, 1.1))
        diligence = self.rng.random()
        late = 2 if name in ("emeka", "tomas") else 0
        stops = 2 if name in ("gustav", "rosa") else N_OPEN
        if name == "yuki":
            return
        for week, assignment in enumerate(list(self.course)[:N_OPEN]):
            if late <= week < stops:
                self.work(pseudonym, assignment.manifest(), self.start + timedelta(weeks=week), ability, diligence)

    def work(self, pseudonym: str, manifest: Manifest, opened: datetime, ability: float, diligence: float) -> None:
        done: dict[str, tuple[Status, float]] = {}
        n_attempts = 1 + int(self.rng.random() < 0.35 + 0.5 * diligence) + int(self.rng.random() < 0.4 * diligence)
        at = opened + timedelta(days=self.rng.uniform(1, 4))
        for n in range(n_attempts):
            for exercise in manifest.exercises:
                if done.get(exercise.id, (Status.FAIL, 0.0))[0] is not Status.PASS:
                    done[exercise.id] = self.answer(exercise.id, ability + 0.5 * n, diligence)
            at += timedelta(hours=self.rng.uniform(1, 30))
            if at > NOW:
                return
            content = hashlib.sha256(f"{pseudonym} {manifest.assignment} {n}".encode()).hexdigest()
            attempt = Attempt.of(pseudonym, manifest.assignment, content, at)
            self.ledger.append(attempt, graded(manifest, done, content), at + timedelta(seconds=6))

    def answer(self, exercise: str, ability: float, diligence: float) -> tuple[Status, float]:
        roll = self.rng.random()
        if roll < 1 / (1 + math.exp(-1.3 * (ability - self.difficulty[exercise]))):
            return Status.PASS, 1.0
        if self.rng.random() > 0.55 + 0.5 * diligence:
            return Status.SKIPPED, 0.0
        if roll > 0.97:
            return self.rng.choice((Status.ERROR, Status.TIMEOUT)), 0.0
        return Status.FAIL, self.rng.choice((0.0, 0.0, 0.25, 0.5))


def _verdict(exercise: Exercise, status: Status, share: float) -> Verdict:
    if status is Status.INFRA:
        return Verdict(
            exercise.id,
            status,
            None,
            exercise.points,
            (),
            "Our fault, not yours: this will be graded again.",
            ("the box did not start",),
        )
    if status is Status.SKIPPED:
        return Verdict(exercise.id, status, 0.0, exercise.points, (), "Not attempted yet.")
    hint = HINTS.get(exercise.name, OTHER_HINT)
    if status is Status.PASS:
        checks = tuple(CheckResult(n, status, 1.0) for n in ("matches_definition", "keeps_shapes", "no_leak"))
        return Verdict(exercise.id, status, exercise.points, exercise.points, checks)
    text = {
        Status.TIMEOUT: "It was stopped after 10 s of computing.",
        Status.ERROR: "RuntimeError: mat1 and mat2 shapes cannot be multiplied",
    }
    shown = text.get(status, hint)
    checks = (CheckResult("matches_definition", status, 1.0, hint=shown), CheckResult("keeps_shapes", Status.PASS, 1.0))
    if status is Status.FAIL and share:
        shown = SLIPS.get(exercise.name, shown)
    return Verdict(exercise.id, status, round(exercise.points * share, 2), exercise.points, checks, shown)


def _manifest(name: str) -> Manifest:
    exercises = tuple(
        Exercise(
            f"{name}.{e}",
            (e,),
            TITLES.get(e, e.replace("_", " ").capitalize()),
            float(4 + 2 * (n % 4)),
            10,
            1 + n % 5,
            3,
            f"x-{name}-{e}",
            f"def {e}():\n    raise NotImplementedError()",
            (),
        )
        for n, e in enumerate(EXERCISES[name].split())
    )
    return Manifest(name, exercises, tuple(ManifestCell("answer", e.cell_id, e.stub, e.id) for e in exercises))


def _difficulties(course: Course) -> dict[str, float]:
    rng = random.Random(20261005)
    return {e.id: rng.gauss(-0.4, 0.9) for a in course for e in a.manifest().exercises}


def _numbered():
    rng = random.Random(1)
    return lambda: f"s{rng.getrandbits(64):016x}"
