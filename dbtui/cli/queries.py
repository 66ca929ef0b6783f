"""`dbtui queries …`: what can be typed. What the commands do is in queries_reading and queries_acting."""

from typing import Any

import click

from dbtui.cli.options import complete_targets, dry_run_option, json_option, quiet_option, yes_option

EPILOG = """
\b
Examples:
  dbtui queries inspect /var/log/postgresql/postgresql.json     a log that is there: which loops, and their cures
  dbtui queries inspect trace.jsonl --fail-on finding           a recorded test run, for CI: exit code 7
  zstdcat slow.log.zst | dbtui queries inspect - --target shop  names relations by that server's foreign keys
  dbtui queries top erp --seconds 10                            what takes the time now, and what is suspected
  dbtui queries explain erp 54716299                            the plan of one of them
  dbtui queries capture erp --seconds 30 --yes erp              log statements for half a minute, and judge them
  dbtui queries repair erp                                      put back what an interrupted capture left

Read are PostgreSQL's jsonlog, csvlog and stderr log, MySQL's and MariaDB's slow and general log, and the JSON lines
of dbtui.instrument.record_statements; .gz as well.
"""
SORTS = ("time", "calls", "mean", "rows", "rows per call", "rows examined", "read", "hit", "temp", "written", "wal")

named_target = click.argument("target", metavar="TARGET", shell_complete=complete_targets)
finding_options = (
    click.option("--fail-on", type=click.Choice(["finding", "hint"]), help="Exit with 7 when there is one."),
    click.option("--others", "shows_others", is_flag=True, help="Also what repeats and is no N+1, and why not."),
    click.option("--models", metavar="PACKAGE:BASE", help="Mapped classes, for the exact names of relations."),
)


@click.group(epilog=EPILOG)
def queries() -> None:
    """Statements: find the N+1 patterns in what ran, name what cures them; the queries that take the time."""


@queries.command(epilog="Example: dbtui queries inspect postgresql.json --target erp --models shop.models:Base")
@click.argument("path", metavar="FILE|-", type=click.Path())
@click.option("--format", "format_name", metavar="FORMAT", help="Of the file, if its first lines do not tell.")
@click.option("--prefix", metavar="PREFIX", help="PostgreSQL's, for a stderr log.")
@click.option("--target", metavar="TARGET", shell_complete=complete_targets,
              help="Ask this server for foreign keys and indexes, and measure the round trip.")  # fmt: skip
@click.option("--round-trip", "round_trip", metavar="TIME", help='Between application and server: "0.5 ms".')
@click.option("--repeats", type=click.IntRange(3, 1000), default=5, show_default=True, metavar="N",
              help="From how many repeats on it is a finding; from three on a hint.")  # fmt: skip
@json_option
@quiet_option
def inspect(**typed: Any) -> int:
    """Read a log or a trace, find the loops, and say what to write instead."""
    from dbtui.cli import queries_reading

    return queries_reading.inspect_file(**typed)


@queries.command(epilog="Example: dbtui queries top erp --seconds 10 --sort calls")
@named_target
@click.option("--seconds", type=click.FloatRange(0, 3600), default=0.0, metavar="S",
              help="Two looks that far apart, and their difference; 0: since the counters began.")  # fmt: skip
@click.option("--sort", type=click.Choice(SORTS), default="time", show_default=True, help="What comes first.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, metavar="N", help="How many.")
@click.option("--filter", "wanted", metavar="TEXT", help="Only those whose SQL, user or database holds it.")
@json_option
@quiet_option
def top(**typed: Any) -> int:
    """Show what takes the time on TARGET: calls, time, rows, share; and which may be an N+1."""
    from dbtui.cli import queries_reading

    return queries_reading.show_top(**typed)


@queries.command(
    epilog="Example: dbtui queries explain erp 54716299", context_settings={"ignore_unknown_options": True}
)
@named_target
@click.argument("key", metavar="KEY")
@json_option
def explain(**typed: Any) -> int:
    """Show the plan of a query that `queries top` lists, without running it."""
    from dbtui.cli import queries_reading

    return queries_reading.explain(**typed)


@queries.command(epilog="Example: dbtui queries capture erp --seconds 30 --yes erp")
@named_target
@click.option(
    "--seconds", type=click.FloatRange(1, 3600), default=30.0, show_default=True, metavar="S", help="How long."
)
@click.option("--most", metavar="SIZE", default="64 MB", show_default=True, help="End earlier when so much was logged.")
@click.option("--sample", type=click.FloatRange(0.001, 1.0), metavar="RATE",
              help="Of all transactions; 1 logs every statement. Default: 0.1, or 1 where few run.")  # fmt: skip
@click.option("--free", metavar="SIZE", help="What is free where a server on another machine logs: only you can tell.")
@click.option("--save", metavar="FILE", type=click.Path(), help="Keep the statements as JSON lines.")
@dry_run_option
@yes_option
@json_option
@quiet_option
def capture(**typed: Any) -> int:
    """Switch statement logging on for a while, judge what ran, and put everything back."""
    from dbtui.cli import queries_acting

    return queries_acting.capture(**typed)


@queries.command(epilog="Example: dbtui queries repair erp")
@click.argument("target", metavar="[TARGET]", required=False, shell_complete=complete_targets)
@dry_run_option
@json_option
@quiet_option
def repair(**typed: Any) -> int:
    """Put back the settings that an interrupted capture left changed."""
    from dbtui.cli import queries_acting

    return queries_acting.repair(**typed)


for _option in reversed(finding_options):
    _option(inspect)
    _option(capture)
