"""What I1's lesson prints in, silence or an AssertionError out."""

import re


def check(stdout: str) -> None:
    assert "by hand:    BOAT with 1 hook left\n" in stdout
    assert "with Hooks: boat with 0 hooks left\n" in stdout
    assert re.search(r"^kept +\[-?\d\.\d\d, -inf, -inf, -inf\]$", stdout, re.MULTILINE)
    # The lens: wrong at first, then the right object leads, then it is alone.
    after = re.findall(r"after (\d) blocks +(\w+) +(\d+)%", stdout)
    assert [word for _, word, _ in after[2:4]] == ["quito", "quito"]
    assert after[0][1] != "quito"
    assert int(after[3][2]) > 95
    for whole, total in re.findall(r"difference (\S+), sum of the 21 parts (\S+)\n", stdout):
        assert whole == total
    assert re.search(r"what: .+\n +(pos|tok)_emb .+\n +(pos|tok)_emb ", stdout)
    assert re.search(r"how: .+\n +blocks\.2\.mlp .+\n +blocks\.0\.head\.1 ", stdout)
    assert float(re.findall(r"largest difference of the logits: (\S+),", stdout)[0]) < 1e-4
    rows = [tuple(map(int, re.findall(rf"block {i} +(\d+)% +(\d+)% +(\d+)%", stdout)[0])) for i in range(3)]
    assert [min(row) for row in rows] == [resample for _, _, resample in rows]
    assert [min(column) == column[i] for i, column in zip((1, 1, 2), zip(*rows, strict=True), strict=True)] == [True] * 3
    # The way of a name: at its own position, then at the last one.
    assert re.search(r"^blocks\.0\.resid_pre +· +· +· +1\.00 +·$", stdout, re.MULTILINE)
    assert re.search(r"^blocks\.0\.resid_mid +· +· +· +0\.0\d +0\.9\d$", stdout, re.MULTILINE)
    assert re.search(r"^ +blocks\.2\.resid_post +1\.00 +0\.[45]\d$", stdout, re.MULTILINE)
    sums = {int(n): (float(a), float(b)) for n, a, b in re.findall(r"(\d+) steps .+ sum +(\S+) of (\S+)", stdout)}
    assert sums[1][0] < 0.6 * sums[1][1]
    assert abs(sums[16][0] / sums[16][1] - 1) < 0.01
    steered = {
        (b, a): tuple(map(int, r)) for b, a, *r in re.findall(r"^block (\d) +(\S+) +(\d+)% +(\d+)% +(\d+)% +(\d+)%$", stdout, re.M)
    }
    assert steered["2", "2.0"][0] > 50
    assert steered["2", "2.0"][1] > 80
    assert steered["2", "2.0"][2] < 15
    assert steered["0", "2.0"][0] < 5
