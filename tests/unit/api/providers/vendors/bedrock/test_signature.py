"""Signatures are those of botocore 1.44.8, which made these for 28 November 2026, 12:00 UTC."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from chatfleet_api.providers.vendor import HTTPRequest
from chatfleet_api.providers.vendors.bedrock.aws_credentials import Credentials
from chatfleet_api.providers.vendors.bedrock.signature import LARGE_BYTES, signature, signed

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
REGION = "eu-central-1"
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
JSON = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "chatfleet"}
RUNTIME = f"https://bedrock-runtime.{REGION}.amazonaws.com"
POSTED = "content-type;host;x-amz-date"


@pytest.mark.parametrize(
    ("request_", "service", "headers", "expected"),
    [
        (
            HTTPRequest(
                "POST",
                f"{RUNTIME}/model/eu.anthropic.claude-sonnet-9-v1%3A0/converse-stream",
                JSON,
                b'{"messages":[]}',
            ),
            "bedrock",
            POSTED,
            "c0a2c61ebcac4604597584eaa6ed6508c71a78e6975459c7c4e8cb9a60322ea1",
        ),
        (
            HTTPRequest("GET", f"{RUNTIME}/async-invoke?maxResults=1", {"Accept": "application/json"}),
            "bedrock",
            "host;x-amz-date;x-amz-security-token",
            "595ecb14302f64447e13e768ab30f19c4e45698a170fa266e5424a215674c81a",
        ),
        (
            HTTPRequest(
                "POST",
                f"https://bedrock-mantle.{REGION}.api.aws/openai/v1/chat/completions",
                JSON,
                '{"content":"fünf"}'.encode(),
            ),
            "bedrock-mantle",
            POSTED,
            "9f42ba555fb19b58894d0bac62b173e9e96eba5e24caf079b29d14884a376359",
        ),
        (
            HTTPRequest(
                "POST",
                "http://127.0.0.1:8080/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A1%3Ainference-profile%2Fa/converse",
                JSON,
                b"{}",
            ),
            "bedrock",
            POSTED,
            "46dff60ff4f6e1dcad59244bbe6d2bd288620c554066c5f7bcabf132d63a8e98",
        ),
    ],
    ids=["a model", "a session token", "mantle", "an ARN at another host"],
)
def test_a_signature_is_that_of_botocore(request_: HTTPRequest, service: str, headers: str, expected: str) -> None:
    token = "IQoJb3JpZ2luX2VjEXAMPLE//==" if "token" in headers else None
    made = signature(KEYS._replace(token=token), request_, NOW, service=service, region=REGION)
    scope = f"AKIDEXAMPLE/20261128/{REGION}/{service}/aws4_request"
    assert made == {
        "X-Amz-Date": "20261128T120000Z",
        "Authorization": (f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={headers}, Signature={expected}"),
        **({"X-Amz-Security-Token": token} if token else {}),
    }


async def test_a_large_body_has_the_same_signature_although_a_thread_makes_it() -> None:
    request = HTTPRequest("POST", f"{RUNTIME}/model/m/converse", JSON, b"x" * (LARGE_BYTES + 1))
    made = await signed(KEYS, request, NOW, service="bedrock", region=REGION)
    assert made == signature(KEYS, request, NOW, service="bedrock", region=REGION)


def test_a_pod_without_bedrock_does_not_import_awscrt() -> None:
    code = "import sys, chatfleet_api.__main__; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    found = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True).stdout.split()
    assert "chatfleet_api" in found
    assert not {"awscrt", "botocore", "openai", "anthropic"} & set(found)
