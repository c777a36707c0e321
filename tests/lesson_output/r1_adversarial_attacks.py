"""What R1's lesson prints in, silence or an AssertionError out."""

import re


def check(stdout: str) -> None:
    (loud,) = re.findall(r"^ +100 +([\d.]+) +[\d.]+ +[\d.]+ +\d+%$", stdout, re.MULTILINE)
    (quiet,) = re.findall(r"^ +1 +([\d.]+) +[\d.]+ +[\d.]+ +\d+%$", stdout, re.MULTILINE)
    assert float(quiet) < 0.25 < 0.85 < float(loud)
    assert re.search(
        r"^logits x 100 +· more_steps  ● unbounded_eps  ● random_search  ● transfer  ● flat_loss$", stdout, re.MULTILINE
    )
    assert re.search(r"^robust +· more_steps  · unbounded_eps  · random_search  · transfer  · flat_loss$", stdout, re.MULTILINE)
    assert re.search(r"^rippled +● more_steps", stdout, re.MULTILINE)
    assert float(re.findall(r"\(a\) as it is +([\d.]+)", stdout)[0]) > 0.85
    assert float(re.findall(r"\(c\) BPDA and 10 draws +([\d.]+)", stdout)[0]) < 0.1
