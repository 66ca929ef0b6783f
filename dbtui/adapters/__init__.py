"""Dialects: the only rooms that know which server this is."""
