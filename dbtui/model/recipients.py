"""Recipients of encrypted backups as people are shown them."""


def shorten_recipient(recipient: str) -> str:
    """Return a recipient as it is shown: an SSH key by its kind and comment, or the end of the key."""
    words = recipient.split(maxsplit=2)
    if len(words) < 2:
        return recipient
    return f"{words[0]} {words[2]}" if len(words) > 2 else f"{words[0]} …{words[1][-12:]}"
