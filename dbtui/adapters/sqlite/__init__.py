"""SQLite, through Python's own library: the server is a file, and its processes are whoever has it open."""
