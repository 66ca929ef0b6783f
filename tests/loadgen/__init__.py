"""The load generator: its clients in this process, against servers with known manners."""
