"""What F1's lesson prints in, silence or an AssertionError out."""

import re


def check(stdout: str) -> None:
    assert "weights with a nan gradient: 8 of 8\n" in stdout
    assert "touches 4 of 64 patches, and 16 of 64 rows" in stdout
    assert re.search(r'"repeats": perplexity +\d+\.\d+, without the shift +1\.04\n', stdout)
    assert "torch.float16   counts to 2048.0\n" in stdout
    assert "random order  102,784 entries, 83% of them padding\nsorted        26,720 entries, 34% of them padding\n" in stdout
    assert "500 times as many\n" in stdout
