"""The load generator, a process of its own: `python -m dbtui.loadgen`.

It reads its plan from standard input and its secrets from a descriptor, issues load, and prints a JSON object a line.
It is started by `dbtui.adapters.loadtool` and by nobody else; nothing imports it.
"""
