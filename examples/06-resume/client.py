"""Sends a message to a conversation and prints the answer as it arrives, without a gap, even if pods die.

python client.py http://localhost:8000 "Tell me a story."      (needs: pip install httpx httpx-sse)
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
from httpx_sse import ServerSentEvent, connect_sse

SILENCE_SECONDS = 35
"""Longest silence of a live stream, more than two heartbeats (`streaming.heartbeatSeconds`)."""
PATIENCE_SECONDS = 60
"""Longest time without any event until this gives up."""
PAUSE_SECONDS = 0.5
PASSING = {409, 429, 502, 503}
"""Statuses after which a retry can succeed."""


def answer(api: httpx.Client, conversation: str, question: str) -> Iterator[ServerSentEvent]:
    """Yield the events of the answer, each once and in order, over as many connections as it takes."""
    path = f"/api/v1/conversations/{conversation}"
    key = str(uuid4())  # the message may be sent twice, and is answered once
    last = ""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if last:
            stream = connect_sse(api, "GET", f"{path}/stream", headers={"Last-Event-ID": last})
        else:
            body = {"content": question, "stream": True}
            stream = connect_sse(api, "POST", f"{path}/messages", json=body, headers={"Idempotency-Key": key})
        try:
            with stream as source:
                source.response.raise_for_status()
                for event in source.iter_sse():
                    last, deadline = event.id, time.monotonic() + PATIENCE_SECONDS
                    yield event
                    if event.event in {"complete", "error"}:
                        return
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in PASSING:
                raise
        except httpx.TransportError:
            pass
        sys.stderr.write(f"\n[the stream broke off after event {number(last)}; coming back for the rest]\n")
        time.sleep(PAUSE_SECONDS)
    raise TimeoutError(f"no event came for {PATIENCE_SECONDS} seconds")


def number(event_id: str) -> int:
    """Return the sequence number at the end of an event's id; 0 before the first event."""
    return int(event_id.rpartition("-")[2] or 0)


def main() -> int:
    """Return 0 if the answer is complete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="where the ChatDeployment is, such as http://localhost:8000")
    parser.add_argument("question")
    asked = parser.parse_args()
    seen: list[int] = []
    event = ServerSentEvent()
    with httpx.Client(base_url=asked.url, timeout=SILENCE_SECONDS) as api:
        conversation = api.post("/api/v1/conversations").raise_for_status().json()["id"]
        for event in answer(api, conversation, asked.question):
            seen.append(number(event.id))
            if event.event == "token":
                sys.stdout.write(json.loads(event.data)["text"])
                sys.stdout.flush()
    whole = event.event == "complete" and seen == [*range(1, len(seen) + 1)]
    how = f"`{event.event}`, each of 1 to {seen[-1]} once" if whole else f"{event.data}, numbers {seen}"
    sys.stderr.write(f"\n[{len(seen)} events: {how}]\n")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
