"""`python -m dbtui` is the `dbtui` command."""

from dbtui.cli.main import main

if __name__ == "__main__":
    main()
