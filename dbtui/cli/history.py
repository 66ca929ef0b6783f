"""`dbtui history`: what ran here."""

import click

from dbtui.cli.options import json_option


@click.command(epilog="Example: dbtui history --limit 20 --full")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, metavar="N")
@click.option("--full", is_flag=True, help="Every entry whole: subject, outcome, and the commands and SQL that ran.")
@json_option
def history(limit: int, full: bool, as_json: bool) -> int:
    """Show what ran here, who ran it and how it ended, newest first."""
    from datetime import UTC, datetime

    from dbtui.cli.history_table import show_entries, show_entry
    from dbtui.cli.invocation import Invocation
    from dbtui.cli.printers import print_document, write_data
    from dbtui.cli.tables import terminal_width

    invocation = Invocation.begin(as_json=as_json)
    entries = invocation.history.entries(limit)
    invocation.show_history_warnings()
    if as_json:
        print_document(history=entries)
    elif entries and full:
        write_data("\n\n".join("\n".join(show_entry(entry)) for entry in entries))
    elif entries:
        write_data("\n".join(show_entries(entries, datetime.now(UTC), terminal_width())))
    else:
        invocation.printer.say("nothing has run here yet")
    return 0
