"""The words that mark statements in PostgreSQL's log, by lc_messages.

The manual asks for lc_messages = 'C' on servers whose logs are read by programs; not every server has it. The words are
those of the server's message catalogues.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

LEVELS = (
    "LOG", "DETAIL", "STATEMENT", "ERROR", "HINT", "CONTEXT", "WARNING", "NOTICE", "INFO", "FATAL", "PANIC", "QUERY",
    r"DEBUG\d?", "LOCATION", "BACKTRACE",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Words:
    """One language. Only what marks statements is told apart; `levels` are those that begin a record."""

    language: str
    duration: str
    unit: str
    statement: str
    execute: str
    fetch: str
    parameters: str
    prepare: str
    detail: str = "DETAIL"
    levels: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """A pattern with two groups: milliseconds, and what was logged (`statement`, `execute p`, ...)."""
        steps = r"|(?:parse|bind) [^:\n]*" if self.is_english else ""
        kinds = rf"{self.statement}|plan|{self.execute}[^:\n]*?{steps}"
        return rf"(?:{self.duration} ?:? (\d+\.\d+) {self.unit})?(?:[ ,]{{0,2}}({kinds}) ?:(?: |(?=\n|$)))?"

    @property
    def level(self) -> str:
        """A pattern of what may stand before `:  `."""
        return "|".join((*LEVELS, *self.levels))

    def may_stand_in(self, text: str) -> bool:
        """Whether a text has any of the words that mark statements: quicker asked than which of them are marks."""
        return any(word.rpartition(")")[2] in text for word in (self.duration, self.statement, self.execute))

    @property
    def is_english(self) -> bool:
        """Whether these are the words of lc_messages = 'C'."""
        return self.language == "English"


ENGLISH = Words("English", "duration", "ms", "statement", "execute", "execute fetch from", "parameters", "prepare")
LANGUAGES = (
    ENGLISH,
    Words("German", "Dauer", "ms", "Anweisung", "Ausführen", "Ausführen Fetch von", "Parameter", "Vorbereiten",
          levels=("ANWEISUNG", "FEHLER", "WARNUNG", "TIPP", "HINWEIS", "ZUSAMMENHANG")),
    Words("French", "durée", "ms", "instruction", "exécute", "exécute fetch à partir de", "paramètres", "préparation",
          "DÉTAIL", ("DÉTAIL", "INSTRUCTION ?", "ERREUR", "ATTENTION", "ASTUCE", "CONTEXTE")),
    Words("Spanish", "duración", "ms", "sentencia", "ejecutar", "ejecutar fetch desde", "parámetros", "prepare",
          "DETALLE", ("DETALLE", "SENTENCIA", "ADVERTENCIA", "CONTEXTO", "HINT")),
    Words("Italian", "durata", "ms", "istruzione", "esecuzione di", "esecuzione di fetch da", "parametri",
          "preparazione", "DETTAGLI", ("DETTAGLI", "ISTRUZIONE", "ERRORE", "ATTENZIONE", "SUGGERIMENTO", "CONTESTO")),
    Words("Portuguese", "duração", "ms", "comando", "executar", "executar busca de", "parâmetros", "prepare",
          "DETALHE", ("DETALHE", "COMANDO", "ERRO", "AVISO", "DICA", "CONTEXTO")),
    Words("Russian", "продолжительность", "мс", "оператор", "выполнение", "выборка из", "параметры", "подготовка",
          "ПОДРОБНОСТИ", ("СООБЩЕНИЕ", "ПОДРОБНОСТИ", "ОПЕРАТОР", "ОШИБКА", "ПРЕДУПРЕЖДЕНИЕ", "ПОДСКАЗКА", "КОНТЕКСТ")),
    Words("Ukrainian", "тривалість", "мс", "оператор", "виконувати", "виконати витягнення з", "параметри", "підготовка",
          "ВІДОМОСТІ", ("ЗАПИСУВАННЯ", "ВІДОМОСТІ", "ІНСТРУКЦІЯ", "ПОМИЛКА", "ПОПЕРЕДЖЕННЯ")),
    Words("Japanese", "期間", "ミリ秒", "文", "実行", "取り出し実行", "パラメータ", "準備", "詳細",
          ("詳細", "文", "ヒント", "文脈")),
    Words("Korean", "(?:실행|수행)시간", "ms", "명령 구문", "쿼리실행", "자료뽑기", "매개 변수", "prepare", "상세정보",
          ("로그", "상세정보", "명령 구문", "오류", "경고")),
    Words("Swedish", "varaktighet", "ms", "sats", "kör", "kör hämtning från", "parametrar", "prepare", "DETALJ",
          ("LOGG", "DETALJ", "SATS", "FEL", "VARNING")),
    Words("Chinese", "执行时间", "ms", "语句", "执行", "执行FETCH操作", "参数", "准备", "详细信息",
          ("日志", "详细信息", "语句", "错误", "警告")),
)  # fmt: skip


def find_words(lines: Iterable[str]) -> Words:
    """Return the language whose words most of `lines` have; English when none has any."""
    text = "\n".join(lines)
    counts = {words.language: len(_find_marks(words, text)) if words.may_stand_in(text) else 0 for words in LANGUAGES}
    return max(LANGUAGES, key=lambda words: (counts[words.language], words.is_english))


def _find_marks(words: Words, text: str) -> list[str]:
    levels = "|".join(("LOG", *words.levels))
    said = rf"{words.duration} ?:? \d+\.\d+ {words.unit}|{words.statement} ?: |{words.execute}[^:\n]* ?: "
    return re.findall(rf'(?:(?:{levels}) ?:  |"message":"|,")({said})', text)
