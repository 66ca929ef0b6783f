"""Remotes: object stores, SFTP servers and directories that hold copies of backups."""
