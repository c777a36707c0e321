"""What T1's lesson prints in, silence or an AssertionError out."""


def check(stdout: str) -> None:
    assert "the output at an earlier position moved by at most 0.0\n" in stdout
    assert "step  0: loss 4.16\n" in stdout
    assert "124,383,744 parameters\n" in stdout
