"""A place in the words of a statement, and the small questions that the rules ask there."""

from dbtui.adapters.mysql.names import show_name
from dbtui.adapters.mysql.tokens import Token
from dbtui.errors import DamagedBackupError


class Refusal(DamagedBackupError):
    """What speaks against running a statement of a dump."""


class Cursor:
    """Reads words one after another; whatever is not as expected is a Refusal."""

    def __init__(self, words: list[Token]) -> None:
        self.words = words
        self._next = 0

    def peek(self) -> Token | None:
        """Return the next word without taking it."""
        return self.words[self._next] if self._next < len(self.words) else None

    def take(self) -> Token:
        """Take the next word."""
        word = self.peek()
        if word is None:
            raise Refusal("a statement that ends too early")
        self._next += 1
        return word

    def rest(self) -> list[Token]:
        """Return the words that are left."""
        return self.words[self._next :]

    def word(self, *expected: str) -> str:
        """Take one of the expected words and return it in capitals."""
        found = self.take()
        if not found.is_word(*expected):
            raise Refusal(
                f"a statement that no dump needs: {show_name(self.words[0].text.upper())} {show_name(found.text)}"
            )
        return found.text.upper()

    def sign(self, expected: str) -> None:
        """Take a punctuation mark."""
        if not self.take().is_sign(expected):
            raise Refusal(f"a statement in which {expected} is missing")

    def skip(self, *words: str) -> bool:
        """Take these words if they come next, all of them."""
        ahead = self.words[self._next : self._next + len(words)]
        if len(ahead) == len(words) and all(one.is_word(word) for one, word in zip(ahead, words, strict=True)):
            self._next += len(words)
            return True
        return False

    def name(self) -> str:
        """Take a name."""
        found = self.take()
        if found.kind not in ("name", "word"):
            raise Refusal("a name is missing")
        return found.text

    def own_name(self) -> str:
        """Take a name that must not say which database it is in."""
        name = self.name()
        ahead = self.peek()
        if ahead is not None and (ahead.is_sign(".") or (ahead.kind == "number" and ahead.text.startswith("."))):
            raise Refusal(f"a name in another database, {show_name(name)}")
        return name

    def own_names(self) -> list[str]:
        """Take names with commas between."""
        names = [self.own_name()]
        while (ahead := self.peek()) is not None and ahead.is_sign(","):
            self.take()
            names.append(self.own_name())
        return names

    def account(self) -> tuple[str, int]:
        """Take `= user@host` and return it with the byte where it ends."""
        self.sign("=")
        user = self.take()
        if user.kind not in ("name", "word", "string"):
            raise Refusal("a DEFINER that is no account")
        ahead = self.peek()
        if user.is_word("CURRENT_USER") and ahead is not None and ahead.is_sign("("):
            self.take()
            closing = self.take()
            return "", closing.end
        if ahead is not None and ahead.kind == "variable":
            host = self.take()
            return f"{user.text}@{host.text.removeprefix('@')}", host.end
        return user.text, user.end

    def find_word(self, *words: str) -> Token:
        """Go on behind the first of these words."""
        while not (found := self.take()).is_word(*words):
            pass
        return found

    def has_word(self, *words: str) -> str:
        """Return the first of these words that stands anywhere ahead, or nothing."""
        return next((word.text.upper() for word in self.rest() if word.is_word(*words)), "")

    def has_word_other_than(self, *words: str) -> bool:
        """Whether an unquoted word ahead is none of these; character set names after SET, = or COLLATE do not count."""
        before = ""
        for word in self.rest():
            if word.kind == "word" and not word.is_word(*words) and before not in ("SET", "CHARSET", "COLLATE", "="):
                return True
            before = word.text.upper()
        return False

    def end(self) -> None:
        """Nothing may follow."""
        if self.rest():
            raise Refusal("a statement with more in it than a dump needs")
