"""Asks the support desk in one session, and prints who answers and why, calls of tools, the answer and its sources.

python client.py http://localhost:8000 "I want my payments back" "And when?"      (needs: pip install httpx httpx-sse)
"""

import argparse
import json
import sys
from typing import Any

import httpx
from httpx_sse import connect_sse

SILENCE_SECONDS = 35
"""Longest silence of a live stream, more than two heartbeats (`streaming.heartbeatSeconds`)."""


def shown(event: dict[str, Any]) -> str:
    """Return what a reader sees of an event."""
    match event["type"]:
        case "agent":
            return f"  agent    {event['name']}: {event['reason']}\n"
        case "server_tool_call":
            return f"  call     {event['tool']} of {event['server']}: {event['arguments']}\n"
        case "server_tool_result":
            return f"  result   {event['content']}\n"
        case "token":
            return str(event["text"])
        case "complete":
            return "\n" + "".join(f"  source   {each['source']}\n" for each in event.get("citations", ()))
        case _:
            return f"\n  error    {event['message']}\n" if event["type"] == "error" else ""


def main() -> int:
    """Return 0 if every answer is complete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="where the ChatDeployment is, such as http://localhost:8000")
    parser.add_argument("question", nargs="+")
    asked = parser.parse_args()
    session: str | None = None
    whole = 0
    with httpx.Client(base_url=asked.url, timeout=SILENCE_SECONDS) as api:
        for question in asked.question:
            sys.stdout.write(f"\n> {question}\n")
            body = {"message": question} | ({"session_id": session} if session else {})
            with connect_sse(api, "POST", "/chat", json=body) as source:
                source.response.raise_for_status()
                for each in source.iter_sse():
                    event = json.loads(each.data)
                    session = event.get("session_id", session)
                    sys.stdout.write(shown(event))
                    sys.stdout.flush()
                    whole += event["type"] == "complete"
    return 0 if whole == len(asked.question) else 1


if __name__ == "__main__":
    sys.exit(main())
