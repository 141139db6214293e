"""A client of our own dialect's streams, on a bare connection: leaves when it is told to, and comes back."""

import http.client
import json
from typing import Any

from harness.pods.api_process import ApiProcess, fetch


def begin(pod: ApiProcess) -> str:
    """Return the path of a new conversation."""
    made = fetch(f"{pod.url}/api/v1/conversations", {}).json
    return f"/api/v1/conversations/{made['id']}"


class Reader:
    """A client that reads events, and knows how far it came."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.lines: list[str] = []
        """All that came."""
        self.text = ""
        self.ending: tuple[str, Any] | None = None

    def say(self, pod: ApiProcess, conversation: str, *, tokens: int | None = None) -> None:
        """Send a message, and read its answer, to its end or to so many tokens."""
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        self._read(pod, "POST", f"{conversation}/messages", json.dumps({"content": "hi"}), headers, tokens=tokens)

    def join(self, pod: ApiProcess, conversation: str) -> None:
        """Go on reading."""
        headers = {"Last-Event-ID": self.ids[-1]} if self.ids else {}
        self._read(pod, "GET", f"{conversation}/stream", None, headers, tokens=None)

    def _read(
        self, pod: ApiProcess, method: str, path: str, body: str | None, headers: dict[str, str], *, tokens: int | None
    ) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", pod.port, timeout=30)
        connection.request(method, path, body, headers)
        with connection.getresponse() as response:
            assert response.status == 200, response.read()
            event: dict[str, str] = {}
            for line in response:
                self.lines.append(line.decode().rstrip("\n"))
                name, _, value = self.lines[-1].partition(": ")
                if name:
                    event[name] = value
                elif "data" in event:
                    self._take(event)
                    event = {}
                    if tokens is not None and len(self.ids) > tokens:
                        break
        connection.close()

    def _take(self, event: dict[str, str]) -> None:
        data = json.loads(event["data"])
        self.ids.append(event["id"])
        if event["event"] == "token":
            self.text += data["text"]
        elif event["event"] in ("complete", "error"):
            self.ending = event["event"], data

    def saw_each_event_once(self) -> bool:
        return [int(seen.rsplit("-", 1)[1]) for seen in self.ids] == list(range(1, len(self.ids) + 1))
