"""What the screen is made of: each draws lines of `dbtui.tui.cells` and nothing else."""
