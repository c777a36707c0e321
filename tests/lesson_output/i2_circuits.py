"""What I2's lesson prints in, silence or an AssertionError out."""


def check(stdout: str) -> None:
    assert "period  8: repeater 100%   shortcut 100%\n" in stdout
    assert "period  7: repeater 100%   shortcut   4%\n" in stdout
    assert "head 0.3: 38 of 39 positions score the place before highest\n" in stdout
    assert "head 1.0: 0 of 32 tokens score their own kind highest\n" in stdout
    assert "corrupted prompts: 100% of the answers are a name of the prompt\n" in stdout
    assert "layer 2         faithful  0.37   left without it  0.29" in stdout
    assert "{'previous': [(0, 3)], 'duplicate': [], 'induction': []}\n" in stdout
