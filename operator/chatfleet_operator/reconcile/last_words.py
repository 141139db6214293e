"""The words of others in a condition: one line, bounded, without credentials. Pure."""

import re
from typing import Final

from chatfleet_operator.model.errors import MAX_MESSAGE, truncate

_SECRETS: Final = (
    (re.compile(r"(://)[^/@\s]*@"), r"\1…@"),  # userinfo of a URL
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 …"),
    (re.compile(r"(?i)((?:api[-_]?key|password|passwd|secret|token)\W{1,4})(?!not\b|for\b)[^\s\"',}]{6,}"), r"\1…"),
    (re.compile(r"\b(?:sk|pk|rk|xox[a-z]|gh[a-z])[-_][\w-]{8,}"), "…"),
)
"""What credentials look like in the output of a process. Messages of the cluster name Secrets and never hold them."""


def last_words(output: str) -> str:
    """Return the end of a process's output, where its error is."""
    line = " ".join(redact(output).split())
    return line if len(line) <= MAX_MESSAGE else "…" + line[1 - MAX_MESSAGE :]


def redact(output: str) -> str:
    for pattern, replacement in _SECRETS:
        output = pattern.sub(replacement, output)
    return output


def sentence(words: str) -> str:
    """Return what the cluster reports as a sentence of its own."""
    line = truncate(words)
    return line if line.endswith((".", "…")) else f"{line}."
