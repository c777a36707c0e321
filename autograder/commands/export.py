"""`bootcamp export`: the ledger in; a table of results as CSV or Parquet out, one row per student and exercise."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import click

from autograder.errors import BootcampError
from autograder.home import Home
from autograder.records import Ledger
from autograder.records.exporting import COLUMNS, Row, moment, rows, write_csv

_AT = COLUMNS.index("received_at")


@click.command("export")
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False))
@click.option("--cohort", default=None, help="One cohort (default: everybody).")
@click.option("--assignment", default=None, help="One assignment (default: all).")
@click.option("--as-of", type=click.IntRange(min=0), default=None, help="As the ledger stood after this event.")
@click.option("--no-names", is_flag=True, help="Pseudonyms only.")
@click.pass_obj
def command(home: Home, path: Path, cohort: str | None, assignment: str | None, as_of: int | None, no_names: bool) -> None:
    """Write everybody's standing results to PATH: .csv, .parquet, or - for CSV on the screen.

    The latest attempt counts. In CSV, texts are quoted, and what a spreadsheet would take for a formula is made harmless.
    """
    started = time.monotonic()
    kind = path.suffix.lower()
    if str(path) != "-" and kind not in (".csv", ".parquet"):
        raise BootcampError(f"{path}: expected a name that ends in .csv or .parquet, or - for CSV on the screen.")
    with Ledger.open(home.ledger_url) as ledger:
        batches = rows(ledger, cohort, assignment, as_of, names=not no_names)
        if str(path) == "-":
            write_csv(batches, sys.stdout)
            return
        part = path.with_name(f".{path.name}.part")
        part.unlink(missing_ok=True)
        try:
            n = _parquet(batches, part) if kind == ".parquet" else _csv(batches, part)
            part.replace(path)
        except OSError as e:
            raise BootcampError(f"{path}: {e.strerror}. Nothing was written.") from None
        finally:
            part.unlink(missing_ok=True)
    click.echo(f"{n} rows in {path} ({time.monotonic() - started:.1f} s)")


def _csv(batches: Iterator[Sequence[Row]], path: Path) -> int:
    # Points beside names: for its owner only.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8", newline="") as file:
        return write_csv(batches, file)


def _parquet(batches: Iterator[Sequence[Row]], path: Path) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise BootcampError("Parquet needs pyarrow. Run: pip install 'autograder[parquet]', or name a .csv file.") from None
    text = pa.dictionary(pa.int32(), pa.string())
    kinds = [pa.string(), pa.string(), text, text, text, text, pa.float64(), pa.float64(), pa.int32()]
    schema = pa.schema(list(zip(COLUMNS, [*kinds, pa.timestamp("us", tz="UTC"), pa.string()], strict=True)))
    aware, n = lru_cache(maxsize=20_000)(moment), 0
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with pq.ParquetWriter(path, schema) as writer:
        for batch in batches:
            columns = [list(c) for c in zip(*batch, strict=True)]
            columns[_AT] = [aware(at) for at in columns[_AT]]
            writer.write_table(pa.table([pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)], schema=schema))
            n += len(batch)
    return n
