"""Verbs: generators that yield events and return a result. No printing, no threads, no widgets."""
