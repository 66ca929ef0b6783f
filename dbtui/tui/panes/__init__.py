"""The numbered panes."""
