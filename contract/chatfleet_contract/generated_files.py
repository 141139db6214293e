"""Programs that write generated files of the repository, or report those that are stale."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def write(files: Mapping[str, str], *, root: Path, command: str, check: bool) -> int:
    """Write `files`, texts by their paths under `root`, where they differ; with `check`, only report that.

    Returns the exit status: 1 if `check` found a stale one, which `command` renews.
    """
    stale = {path: text for path, text in files.items() if _read(root / path) != text}
    for path, text in stale.items():
        if check:
            sys.stderr.write(f"{path} is stale; run `{command}`\n")
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {path}\n")
    return 1 if stale and check else 0


def arguments(description: str | None, program: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the arguments of such a program."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is stale")
    return parser


def run(description: str | None, path: Path, text: Callable[[], str], *, root: Path, command: str) -> int:
    """Run the program that writes one file, and return its exit status."""
    check = arguments(description).parse_args().check
    return write({str(path): text()}, root=root, command=command, check=check)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
