"""Repositories of physical backups: pgBackRest and Barman, by calls of their own programs."""
