"""Signatures are those of Standard Webhooks, by each secret, as a library of others verifies them."""

import base64
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from chatfleet_api.webhooks.signing import NoSecretError, parse_secret, read_secrets, signed_headers

OLD, NEW, OTHER = (f"whsec_{base64.b64encode(bytes([number]) * 24).decode()}" for number in (1, 2, 3))
BODY = '{"type":"stream_complete","data":{"content":"naïve"}}'.encode()


def test_either_secret_of_a_rotation_verifies_a_request_and_another_does_not() -> None:
    secrets = [parse_secret(OLD), parse_secret(NEW)]
    headers = dict(signed_headers(secrets, "msg_1", int(datetime.now(UTC).timestamp()), BODY))
    for secret in (OLD, NEW):
        Webhook(secret).verify(BODY, headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(BODY.replace(b"complete", b"completE"), headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(BODY, headers | {"webhook-id": "msg_2"})
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers)


def test_secrets_are_the_valid_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "b").write_text(NEW + "\n")
    (tmp_path / "a").write_text(OLD)
    (tmp_path / "c").write_text("whsec_c2hvcnQ=")
    assert read_secrets(tmp_path) == [parse_secret(OLD), parse_secret(NEW)]


@pytest.mark.parametrize("text", ["", "short", "whsec_c2hvcnQ=", "whsec_" + "A" * 100, "whsec_ä"])
def test_what_is_no_secret_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "signing"
    with pytest.raises(NoSecretError, match="Secret signing does not exist"):
        read_secrets(folder)
    folder.mkdir()
    (folder / "key").write_text(text)
    with pytest.raises(NoSecretError, match="Secret signing: key key must be whsec_") as wrong:
        read_secrets(folder)
    assert not text or text not in str(wrong.value)


def test_the_receiver_of_the_guide_accepts_what_is_signed_and_nothing_else() -> None:
    page = Path(__file__).parents[4] / "docs/guide/webhooks.md"
    [example] = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102  # our own page
    now = int(datetime.now(UTC).timestamp())
    headers = dict(signed_headers([parse_secret(OLD), parse_secret(NEW)], "msg_1", now, BODY))
    old = dict(signed_headers([parse_secret(OLD)], "msg_1", now - 3600, BODY))
    assert [names["verified"](headers, BODY, secret) for secret in (OLD, NEW, OTHER)] == [True, True, False]
    assert not names["verified"](headers, BODY + b" ", OLD)
    assert not names["verified"](old, BODY, OLD)
