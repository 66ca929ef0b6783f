"""`dbtui demo`: a throwaway world to play in."""

import click


@click.command(epilog="Example: dbtui demo --check")
@click.option("--check", is_flag=True, help="Without a terminal: walk through it, print what was seen, exit 0.")
def demo(check: bool) -> int:
    """Open the terminal UI on private servers with data and backups; all of it is gone afterwards."""
    if not check:
        from dbtui.cli.ui import check_terminal

        check_terminal()
    from dbtui.demo import run_demo

    return run_demo(check)
