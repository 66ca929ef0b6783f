"""Load tests as tables, and what `dbtui bench read` does: the output of other generators."""

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from dbtui.analysis.load_outputs import parse_load_output
from dbtui.analysis.load_report import (
    HEADINGS,
    conclusions,
    describe_result,
    format_charts,
    format_markdown,
    stage_cells,
)
from dbtui.cli import exit_codes
from dbtui.cli.printers import VERSION, format_json, print_document, write_data, write_words
from dbtui.cli.tables import Column, format_table, terminal_width
from dbtui.errors import StorageError, UsageError
from dbtui.model.loadtest import LoadResult

_MOST_BYTES = 1 << 30
_DROPPED_FIRST = {"MEAN": 3, "P90": 2, "SECONDS": 4, "GOOD/S": 1}
_SUFFIXES = (".json", ".md")


def read_output(*, file: str, reports: Sequence[str], as_json: bool) -> int:
    """Show what another generator measured."""
    paths = check_reports(reports)
    result = parse_load_output(_read(file), datetime.now(UTC))
    write_reports(result, paths)
    if as_json:
        print_document(**describe_result(result))
    else:
        write_data(show_result(result))
        for line in conclusions(result):
            write_words(line)
    return exit_codes.DONE


def _read(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.buffer.read(_MOST_BYTES).decode("utf-8", "replace")
        with Path(file).open("rb") as stream:
            return stream.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "check the path") from error


def show_result(result: LoadResult) -> str:
    """Return the table of stages and, for several or long ones, charts."""
    columns = [Column(title, right=title != "STAGE", drop=_DROPPED_FIRST.get(title, 0)) for title in HEADINGS]
    table = format_table(columns, [stage_cells(stage) for stage in result.stages], terminal_width())
    charts = format_charts(result)
    return "\n".join([*table, *(["", *charts] if charts else [])])


def check_reports(names: Sequence[str]) -> list[Path]:
    """Return where reports go. Raises UsageError when they cannot: better now than when the test is over."""
    paths = [Path(name) for name in names]
    for path in paths:
        if path.suffix.lower() not in _SUFFIXES:
            raise UsageError(f"--report {path}: the name says no format", "end it with .json or .md")
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise UsageError(f"--report {path}: its directory is not there, or not yours to write to")
    return paths


def write_reports(result: LoadResult, paths: Sequence[Path]) -> None:
    """Write each report, whole or not at all, for this user alone. Raises StorageError."""
    for path in paths:
        is_json = path.suffix.lower() == ".json"
        text = format_json({"version": VERSION, **describe_result(result)}) if is_json else format_markdown(result)
        _write(path, text + ("\n" if is_json else ""))


def _write(path: Path, text: str) -> None:
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            with suppress(OSError):  # it was not made, or is gone
                Path(temporary).unlink()
        raise StorageError(f"the report {path} cannot be written: {error.strerror}") from error
