"""MySQL and MariaDB: the same file names as in every engine's folder."""
