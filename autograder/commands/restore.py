"""`bootcamp restore`: an archive of `bootcamp backup` in, the same course in an empty home out."""

from __future__ import annotations

from pathlib import Path

import click

from autograder.home import Home


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.pass_obj
def command(home: Home, file: Path) -> None:
    """Put FILE back into an empty BOOTCAMP_HOME and an empty BOOTCAMP_LEDGER. Nothing is ever overwritten."""
    from autograder.records.backup import read

    done = read(home, file.absolute())
    click.echo(f"{file}: {done.n_blobs} files that were handed in, {done.n_bytes / 2**20:.1f} MiB, each checked against its hash.")
    for cohort, head in sorted(done.heads.items()):
        click.echo(f'cohort "{cohort}": head {head}, as in the backup')
    click.echo("Prove the whole log with: bootcamp ledger verify")
