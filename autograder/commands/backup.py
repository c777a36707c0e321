"""`bootcamp backup`: a running course in, one archive out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from autograder.home import Home


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def command(home: Home, file: Path) -> None:
    """Write ledger, notebooks, seed and gradebook into FILE, a tar archive, while the course goes on.

    It holds the course seed, names and answers: keep it as secret as the course itself. People's own home folders are not
    in it.
    """
    from autograder.records.backup import write

    done = write(home, file.absolute(), datetime.now(UTC))
    home.backed_up.touch()  # the exchange's metrics tell its age
    click.echo(f"{file}: {done.n_blobs} files that were handed in, {done.n_bytes / 2**20:.1f} MiB.")
    for cohort, head in sorted(done.heads.items()):
        click.echo(f'cohort "{cohort}": head {head}')
    click.echo("It holds the course seed: keep it secret, and on another machine.")
