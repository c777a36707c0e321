"""What T2's lesson prints in, silence or an AssertionError out."""

import re


def numbers(pattern: str, stdout: str) -> list[float]:
    return [float(x) for x in re.findall(pattern, stdout, re.MULTILINE)]


def check(stdout: str) -> None:
    # A vocabulary is made by integer arithmetic alone: the same everywhere.
    assert "first: ['he', ' t', ' the'" in stdout
    assert "' cat'        1 tokens" in stdout
    assert "'cat'         2 tokens" in stdout
    once, twice, thrice = numbers(r"^after \d x 20,000 tokens: ([\d.]+)% were never read$", stdout)
    assert 33 < once < 41
    assert 10 < twice < 17
    assert 3 < thrice < 7
    per_token = numbers(r"merges: ([\d.]+) nats per token", stdout)
    per_byte = numbers(r"([\d.]+) bits per byte$", stdout)
    assert per_token[3] > max(per_token[:3])
    assert per_byte == sorted(per_byte, reverse=True)
    assert per_byte[3] < per_byte[0] / 3
    real = numbers(r"^temperature [\d.]+: +(\d+)% real words", stdout)
    assert min(real[:3]) > 97
    assert real[3] < 90
    searched = numbers(r"^ +\d+ beams: log probability +(-[\d.]+)", stdout)
    average, best = numbers(r"log probability +(-[\d.]+) on average", stdout), numbers(r"best of 50 (-[\d.]+)", stdout)
    assert searched[0] < searched[-1]
    assert average[0] < best[0] < searched[-1]
    assert "the same text: True" in stdout
    right, wrong = re.findall(r"^(?:right|wrong): (.+)$", stdout, re.MULTILINE)
    assert right[:8] == wrong[:8]
    assert right != wrong
    per_call = numbers(r"^draft: small +k= ?\d+: ([\d.]+) tokens per call", stdout)
    assert 1.6 < per_call[0] < per_call[1] < per_call[2] < per_call[3]
    much, little = numbers(r"characters: loss ([\d.]+) on unseen text", stdout)
    assert much < 1.3 < 1.6 < little
