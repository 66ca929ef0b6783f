"""Servers that end with the program that started them: for proving a backup, for the demo, and for the tests."""
