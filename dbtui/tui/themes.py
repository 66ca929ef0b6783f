"""How it looks: dark, light, and in the terminal's own sixteen colours for where there are no more."""

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
        "cursor-text": "#ffffff",
        "cursor-blurred": "#232933",
        "production": "#7a1f24",
        "production-line": "#a8383c",
        "staging": "#6b4a10",
        "input-cursor-background": "#d0d4da",
        "input-cursor-foreground": "#14171c",
        "input-selection-background": "#274a5c",
    },
)

LIGHT = Theme(
    name="dbtui-light",
    primary="#1f6a93",
    secondary="#4a6f6f",
    accent="#0b6e7d",
    warning="#8a5a00",
    error="#b3261e",
    success="#2e6b1f",
    foreground="#1d2229",
    background="#f6f5f1",
    surface="#eceae4",
    panel="#e0ded6",
    dark=False,
    variables={
        "muted": "#656b75",
        "line": "#b9b6ac",
        "cursor": "#bfdcea",
        "cursor-text": "#101418",
        "cursor-blurred": "#e0ded6",
        "production": "#a3161b",
        "production-line": "#b3261e",
        "staging": "#7a5200",
        "input-cursor-background": "#1d2229",
        "input-cursor-foreground": "#f6f5f1",
        "input-selection-background": "#bfdcea",
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
        "cursor-text": "ansi_default",
        "cursor-blurred": "ansi_default",
        "production": "ansi_red",
        "production-line": "ansi_red",
        "staging": "ansi_yellow",
        "input-cursor-background": "ansi_white",
        "input-cursor-foreground": "ansi_black",
        "input-selection-background": "ansi_cyan",
    },
)

#: By the names that the configuration uses.
THEMES = {"dark": DARK, "light": LIGHT, "ansi": SIXTEEN}
