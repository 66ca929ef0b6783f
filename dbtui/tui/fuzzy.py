"""Finding by letters: every letter typed, in order; words that begin with them come first."""


def score(query: str, text: str) -> float | None:
    """Return how well `text` answers `query` (higher is better), None when letters are missing."""
    query, text = query.lower().strip(), text.lower()
    if not query:
        return 0.0
    if query in text:
        begins = text.startswith(query) or f" {query}" in text
        return 200.0 + (100.0 if begins else 0.0) - len(text) / 100
    total, place, run = 0.0, -1, 0
    for letter in query.replace(" ", ""):
        found = text.find(letter, place + 1)
        if found == -1:
            return None
        starts_word = found == 0 or not text[found - 1].isalnum()
        run = run + 1 if found == place + 1 else 0
        total += 1 + run + (3 if starts_word else 0)
        place = found
    return total - len(text) / 100
