"""`dbtui bench …`: what can be typed. What the commands do is in bench_acting.py and bench_reading.py."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dbtui.cli.options import complete_targets, dry_run_option, json_option, quiet_option

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

EPILOG = """
\b
Examples:
  dbtui bench http http://127.0.0.1:8000/ -c 20 --duration 10s
  dbtui bench http http://10.0.0.5/ --stages 5,10,20,40 --slo 200ms --report ramp.md
  dbtui bench sql erp --rate 500 --path pool --report load.json
  dbtui bench read wrk.txt
"""


def load_options(command: FunctionT) -> FunctionT:
    """Add the options that every test has, in the order of the help."""
    options = (
        click.option("--concurrency", "-c", type=int, metavar="N",
                     help="Requests at a time (default 10); with a rate: at most (default 256; SQL 20)."),
        click.option("--rate", "-r", type=float, metavar="R",
                     help="Open model: start R requests a second, whether or not earlier ones were answered."),
        click.option("--stages", metavar="N,N,…", help="Stages with so many requests at a time."),
        click.option("--rate-stages", metavar="R,R,…", help="Stages with so many requests a second."),
        click.option("--duration", "-d", metavar="TIME", default="10s", show_default=True, help="Of each stage."),
        click.option("--warm-up", metavar="TIME", default="0s", show_default=True, help="Before, not judged."),
        click.option("--requests", "most", type=click.IntRange(1), metavar="N", help="End after so many in all."),
        click.option("--timeout", metavar="TIME", default="30s", show_default=True, help="Give up after this."),
        click.option("--slo", metavar="TIME", help="Within this an answer is good, such as 250ms."),
        click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N",
                     help="Generators side by side, when one core is not enough."),
        click.option("--report", "reports", multiple=True, type=click.Path(dir_okay=False), metavar="FILE",
                     help="Write a report, .json or .md; may be given twice."),
        click.option("--yes", "confirmed", multiple=True, metavar="NAME",
                     help="Confirm without a prompt: the host, or a production profile's name."),
        dry_run_option,
        json_option,
        quiet_option,
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.group(epilog=EPILOG)
def bench() -> None:
    """Load a web server or a database server and measure it; or read what another generator measured.

    Only ever the URL or target given is loaded, redirects are not followed, and every test has an end.
    """


@bench.command(epilog="Example: dbtui bench http http://127.0.0.1:8000/ -c 20 -d 10s --slo 200ms")
@click.argument("url", metavar="URL")
@load_options
@click.option("--method", default="GET", show_default=True, metavar="METHOD", help="GET, POST, PUT …")
@click.option("--header", "headers", multiple=True, metavar="TEXT",
              help="'Name: value', or @FILE with one a line: secrets belong there. Repeatable.")  # fmt: skip
@click.option("--body", metavar="TEXT", help="What is sent with each request, or @FILE.")
@click.option("--most-body", metavar="BYTES", type=click.IntRange(0), default=16 << 20, show_default=True,
              help="A longer answer is an error.")  # fmt: skip
@click.option("--ca-file", type=click.Path(dir_okay=False), metavar="FILE", help="Trust these certificates.")
@click.option("--insecure", is_flag=True, help="Do not check the server's certificate.")
def http(**typed: Any) -> int:
    """Load a web server: HTTP/1.1 with kept connections."""
    from dbtui.cli import bench_acting

    return bench_acting.bench_http(**typed)


@bench.command(epilog="Example: dbtui bench sql erp --stages 5,10,20,40 -d 10s --path pool")
@click.argument("target", required=False, metavar="[TARGET]", shell_complete=complete_targets)
@load_options
@click.option("--statement", "statements", multiple=True, metavar="SQL",
              help="Run this, each time; several take turns (default: SELECT 1).")  # fmt: skip
@click.option("--file", "files", multiple=True, type=click.Path(dir_okay=False), metavar="FILE",
              help="Run what the file holds, as a whole, each time.")  # fmt: skip
@click.option("--path", type=click.Choice(["driver", "pool"]), default="driver", show_default=True,
              help="A connection for each client, or a pooled engine as DB_POOL_* say.")  # fmt: skip
@click.option("--pooled", "is_pooled", is_flag=True, help="Through the profile's PgBouncer.")
def sql(**typed: Any) -> int:
    """Load a database server with statements; each is a transaction of its own."""
    from dbtui.cli import bench_acting

    return bench_acting.bench_sql(**typed)


@bench.command(epilog="Example: wrk --latency http://127.0.0.1:8000/ > wrk.txt; dbtui bench read wrk.txt")
@click.argument("file", metavar="FILE|-")
@click.option("--report", "reports", multiple=True, type=click.Path(dir_okay=False), metavar="FILE",
              help="Write a report, .json or .md; may be given twice.")  # fmt: skip
@json_option
def read(**typed: Any) -> int:
    """Show what wrk, oha --json, k6 (summary or --out json) or pgbench printed."""
    from dbtui.cli import bench_reading

    return bench_reading.read_output(**typed)
