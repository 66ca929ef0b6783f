"""Judgements: pure functions over model values. No I/O; the clock is a parameter."""
