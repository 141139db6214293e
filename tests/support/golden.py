"""Golden files: text that a person can read, compared byte by byte."""

import os
from pathlib import Path

RENEW = os.environ.get("RENEW_GOLDEN")
"""Set to write the files anew; read the difference before it is kept."""


def expect(text: str, file: Path) -> None:
    """Assert that `text` is what `file` holds."""
    if RENEW:
        file.write_text(text)
    assert text == file.read_text()
