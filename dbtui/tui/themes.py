"""How it looks: one dark theme, and one of the terminal's own sixteen colours for where there are no more."""

from textual.theme import Theme

DARK = Theme(
    name="dbtui",
    primary="#5fafd7",
    secondary="#87afaf",
    accent="#5fd7d7",
    warning="#d7af5f",
    error="#ff6b68",
    success="#87c36b",
    foreground="#d0d4da",
    background="#14171c",
    surface="#1a1e25",
    panel="#232933",
    dark=True,
    variables={
        "muted": "#7f8896",
        "line": "#343c49",
        "cursor": "#274a5c",
        "cursor-blurred": "#232933",
        "production": "#7a1f24",
        "production-line": "#a8383c",
        "staging": "#6b4a10",
        "input-cursor-background": "#d0d4da",
        "input-cursor-foreground": "#14171c",
        "input-selection-background": "#274a5c",
    },
)

SIXTEEN = Theme(
    name="dbtui-16",
    ansi=True,
    primary="ansi_cyan",
    secondary="ansi_cyan",
    accent="ansi_cyan",
    warning="ansi_yellow",
    error="ansi_red",
    success="ansi_green",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    dark=True,
    variables={
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "muted": "ansi_default",
        "line": "ansi_default",
        "cursor": "ansi_default",
        "cursor-blurred": "ansi_default",
        "production": "ansi_red",
        "production-line": "ansi_red",
        "staging": "ansi_yellow",
        "input-cursor-background": "ansi_white",
        "input-cursor-foreground": "ansi_black",
        "input-selection-background": "ansi_cyan",
    },
)

THEMES = (DARK, SIXTEEN)
