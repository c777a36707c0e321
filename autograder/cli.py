"""`bootcamp`: words in, one command run. Commands load when they are called, so that help costs nothing."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import click

from autograder.errors import BootcampError
from autograder.home import Home

_COMMANDS = {
    "init": "Make the folder of a running course and its secret seed.",
    "build": "Build release/ from lessons and solutions.",
    "check": "Put hidden checks through the gate: reference, mutants, alternatives.",
    "grade": "Grade notebooks in the box, record and publish the results.",
    "work": "Grade what is handed in, as it comes.",
    "release": "Let an assignment out to students, if the gate has passed exactly its files.",
    "regrade": "Replay every attempt at an assignment; show, append or undo what changes.",
    "replay": "Grade one attempt again and print its verdicts as JSON.",
    "publish": "Bring nbgrader's gradebook up to date with the ledger, or make it again.",
    "export": "Write everybody's results as CSV or Parquet.",
    "backup": "Write all that cannot be made again into one archive.",
    "restore": "Put a backup back into an empty home.",
    "ledger": "Verify the ledger's chain; export or erase a person.",
    "progress": "Evaluate the tracker: who is ready for more, and how sure that is.",
    "transcripts": "Sign transcripts with a new key, or check one by its files.",
    "plan": "Say how many graders and hosts a course needs, by simulation with measured times.",
    "doctor": "Show what box this machine can offer, and what to change.",
    "serve": "Start JupyterHub with the pages on 127.0.0.1.",
    "demo": "Grade a made-up cohort and start JupyterHub with it.",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(f"autograder.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], _COMMANDS, 1)
            ctx.fail(f'no command "{args[0]}".' + (f' Did you mean "{near[0]}"?' if near else " See bootcamp --help."))
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--course", type=click.Path(path_type=Path), help="The course's folder (default: BOOTCAMP_COURSE, else here).")
@click.pass_context
def bootcamp(ctx: click.Context, course: Path | None) -> None:
    """An autograded deep-learning bootcamp: build it, grade it, see who is ready for more."""
    ctx.obj = Home.from_env(os.environ, course)


def main() -> None:
    """Run the command line. What a person can mend ends with its message and exit status 2, without a traceback."""
    # One thread per process: torch and its libraries read this when they load.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        bootcamp(prog_name="bootcamp")
    except BootcampError as e:
        click.echo(f"bootcamp: {e}", err=True)
        sys.exit(2)
