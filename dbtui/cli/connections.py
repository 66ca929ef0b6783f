"""`dbtui connections`: every profile and DATABASE_URL, looked at side by side."""

import click

from dbtui.cli.options import json_option


@click.command(epilog="Example: dbtui connections --json")
@json_option
def connections(as_json: bool) -> int:
    """Show every profile: reachable?, version, role, sessions used of available, size."""
    from dbtui.cli import connections_reading

    return connections_reading.show_connections(as_json=as_json)
