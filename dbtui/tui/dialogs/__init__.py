"""What asks before something is changed."""
