"""`bootcamp transcripts rotate | verify`: a new signing key; or a transcript's file checked without the Hub."""

from __future__ import annotations

from pathlib import Path

import click

from autograder.errors import BootcampError
from autograder.home import Home


@click.group("transcripts")
def command() -> None:
    """Sign transcripts with a new key, or check one by its files."""


@command.command("rotate")
@click.option("--withdraw", is_flag=True, help="The old key leaked: what it signed holds no longer.")
@click.pass_obj
def rotate(home: Home, withdraw: bool) -> None:
    """Sign with a new key from now on; transcripts under the old one still hold, unless it is withdrawn."""
    from autograder.transcripts.keys import Keys

    name = Keys(home.transcript_keys).rotate(withdraw)
    click.echo(f"Transcripts are signed with key {name} from now on; a running service needs no restart.")


@command.command("verify")
@click.argument("text", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("signature", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
def verify(home: Home, text: Path, signature: Path) -> None:
    """Check TEXT (transcript.json) against SIGNATURE (transcript.sig), both attached to the PDF, with this home's keys."""
    from autograder.transcripts.keys import Keys, Signature

    keys, content, value = Keys(home.transcript_keys), text.read_bytes(), signature.read_bytes()
    key = next((k for k in keys.all() if keys.holds(Signature(k, value), content)), None)
    if key is None:
        raise BootcampError(f"{signature} is no signature of {text} by a key of {home.transcript_keys}.")
    click.echo(f"{text} was signed by this course's key {key}. Its address says whether it still stands.")
