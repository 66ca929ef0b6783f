"""Addresses of remotes, for adapters and routines. How they are read is pure and lies with the nouns."""

from dbtui.model.remote_addresses import REMOTE_SCHEMES, is_remote_address, parse_remote_address

__all__ = ["REMOTE_SCHEMES", "is_remote_address", "parse_remote_address"]
