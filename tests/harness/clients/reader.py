"""A client of our own dialect without an event loop: leaves after some tokens, and comes back to any pod."""

import http.client
import json
from typing import Any

from harness.clients.events import Event, EventParser
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

    def say(self, pod: ApiProcess, conversation: str, *, tokens: int | None = None, content: str = "hi") -> None:
        """Send a message, and read its answer, to its end or to so many events after the first."""
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        self._read(pod, "POST", f"{conversation}/messages", json.dumps({"content": content}), headers, tokens=tokens)

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
            events = EventParser()
            for line in response:
                self.lines.append(line.decode().rstrip("\n"))
                for event in events.feed(line):
                    self._take(event)
                if tokens is not None and len(self.ids) > tokens:
                    break
        connection.close()

    def _take(self, event: Event) -> None:
        data = json.loads(event.data)
        self.ids.append(event.id)
        if event.name == "token":
            self.text += data["text"]
        elif event.name in ("complete", "error"):
            self.ending = event.name, data

    def saw_each_event_once(self) -> bool:
        return [int(seen.rsplit("-", 1)[1]) for seen in self.ids] == list(range(1, len(self.ids) + 1))
