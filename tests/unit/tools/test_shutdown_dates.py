"""The days on which models shut down are those of the pinned SDKs."""

import importlib.util
from datetime import date
from pathlib import Path

from chatfleet_api.providers.shutdown_dates import SHUTDOWN_DATES
from chatfleet_contract.spec.provider_types import ProviderType
from harness.sdk_shutdown_dates import of_anthropic, of_openai

ROOT = Path(__file__).parents[3]


def test_the_module_is_as_the_sdks_have_it() -> None:
    spec = importlib.util.spec_from_file_location("shutdown_dates", ROOT / "tools/shutdown_dates.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / module.MODULE).read_text() == module.text()


def test_every_day_is_there() -> None:
    for kind, days in ((ProviderType.OPENAI, of_openai()), (ProviderType.ANTHROPIC, of_anthropic())):
        assert {name: date.fromisoformat(day) for name, day in SHUTDOWN_DATES[kind].items()} == days
        assert len(days) > 10
