"""What R2's lesson prints in, silence or an AssertionError out."""

import re


def check(stdout: str) -> None:
    natural, adversarial = (_numbers(rf"^{name} +((?:\d\.\d{{3}} *){{5}})$", stdout) for name in ("natural", "adversarial"))
    assert natural[2] < 0.5 < 0.7 < adversarial[2]
    assert adversarial[0] > natural[0] - 0.02
    weak, strong = (_numbers(rf"^beta = {beta} +([\d. ]+)$", stdout) for beta in ("0.5", "10"))
    assert strong[4] > 1.5 * weak[4]
    for name in ("natural", "adversarial"):
        L, steepest = _numbers(rf"^{name}: L = ([\d.]+), steepest derivative ([\d.]+);", stdout)
        assert 1 < L / steepest < 3
    assert _numbers(r"^ 0\.02 +([\d.]+) +([\d.]+) +([\d.]+)$", stdout)[1] > 0.8
    assert _numbers(r"^  0\.1 +([\d.]+) +([\d.]+) +([\d.]+)$", stdout)[1] < 0.1
    for row in re.findall(r"^ *0\.\d+ +[\d.]+ +([\d.]+) +([\d.]+)$", stdout, re.MULTILINE):
        assert float(row[0]) <= float(row[1]), "crown certifies more than the attack leaves"
    assert re.search(r"^budget   100: 54 robust, 6 falsified, 0 timeout$", stdout, re.MULTILINE)
    clean, attacked, certified = _numbers(r"^certified +(\d\.\d+) +(\d\.\d+) +(\d\.\d+)$", stdout)
    assert clean > 0.94
    assert 0.65 < certified < attacked
    assert _numbers(r"^without a ramp +(\d\.\d+) +\d\.\d+ +(\d\.\d+)$", stdout)[0] < 0.2
    assert _numbers(r"^ +100 +[\d.]+ +[\d.]+ +[\d.]+ +([\d.]+)", stdout)[0] == 0.9333
    assert (
        _numbers(r"^with the bound: +(\d+) of 500", stdout)[0] <= 40 < 200 <= _numbers(r"^with the share: +(\d+) of 500", stdout)[0]
    )
    small, large = (_numbers(rf"^trained with noise, sigma = {sigma} +([\d. ]+?) +\d+$", stdout) for sigma in ("0.25", "0.5"))
    assert small[1] > large[1]
    assert small[4] < large[4]


def _numbers(pattern: str, stdout: str) -> list[float]:
    (found,) = re.findall(pattern, stdout, re.MULTILINE)
    return [float(word) for part in (found if isinstance(found, tuple) else (found,)) for word in part.split()]
