"""The sandbox: throwaway servers, an ERP-like world, backups of different ages. Leaves nothing behind."""


def run_demo(check: bool) -> int:
    """Build the world and open the terminal UI on it; with `check` walk through it without a terminal.

    Returns the exit code. Raises what keeps the world from being built.
    """
    from dbtui.demo.run import run

    return run(check)
