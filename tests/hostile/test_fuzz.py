"""A fuzzer's sample in every run of the tests; the long run is `python -m tests.hostile.fuzz_wire 1000000`."""

from __future__ import annotations

import resource

from tests.hostile import fuzz_wire
from tests.sample import SEED


def test_broken_frames_are_refused_or_read():
    """No crash, no hang and no memory beyond the caps, on frames broken at random."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = fuzz_wire.run(20_000, seed=int.from_bytes(SEED.encode(), "big"))
    assert 10_000 < refused < 19_500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 64 << 10
