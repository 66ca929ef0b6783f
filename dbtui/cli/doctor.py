"""`dbtui doctor`: the terminal, tools, files and settings here, and what a login may do on its server."""

import click

from dbtui.cli.options import complete_targets, json_option

EPILOG = """
\b
Examples:
  dbtui doctor                 this terminal, these tools, these files
  dbtui doctor erp             and what the login of erp may do, with the GRANTs it lacks
  dbtui doctor erp --grants    those GRANTs as a script

Exit codes: 0 no trouble, 7 the check found trouble, 4 TARGET cannot be reached.
"""


@click.command(epilog=EPILOG)
@click.argument("target", required=False, metavar="[TARGET]", shell_complete=complete_targets)
@click.option("--grants", is_flag=True, help="Print the least privileges that TARGET's login needs, as SQL.")
@json_option
def doctor(target: str | None, grants: bool, as_json: bool) -> int:
    """Check the terminal, tools, configuration and files here; with TARGET also what its login may do."""
    from dbtui.cli import doctor_reading

    if grants:
        return doctor_reading.show_grants(target, as_json=as_json)
    return doctor_reading.show_doctor(target, as_json=as_json)
