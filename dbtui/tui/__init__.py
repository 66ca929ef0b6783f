"""Front door 2: the terminal UI. Keys in, cells out; everything it does goes through `dbtui.jobs`."""
