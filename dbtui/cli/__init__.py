"""Front door 1: commands. argv in, lines out; stdout is data, stderr is words."""
