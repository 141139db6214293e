"""API keys in mounted files, which may be absent and may change while the pod runs."""

from pathlib import Path

from pydantic import SecretStr

from chatfleet_api.domain.errors import ChatError, Code


class FileCredential:
    """The key in a file, read at first use and again whenever the file has changed; without a path there is none."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._seen: tuple[int, int, int] | None = None
        self._key = SecretStr("")

    def read(self) -> SecretStr | None:
        """Return the key; raise `ChatError(UPSTREAM_AUTHENTICATION)` when the file has none that can be sent."""
        if self._path is None:
            return None
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._key, self._seen = SecretStr(self._path.read_text("utf-8").strip()), seen
        except (OSError, UnicodeDecodeError) as error:
            raise _unusable(self._path, "cannot be read") from error
        key = self._key.get_secret_value()
        if not key:
            raise _unusable(self._path, "is empty")
        if not (key.isascii() and key.isprintable()):
            raise _unusable(self._path, "must hold one line of printable ASCII")
        return self._key

    def forget(self) -> None:
        """Read the file again at the next use, even if it looks unchanged."""
        self._seen = None


def _unusable(path: Path, why: str) -> ChatError:
    return ChatError(Code.UPSTREAM_AUTHENTICATION, detail=f"the API key file {path} {why}; correct its Secret")
