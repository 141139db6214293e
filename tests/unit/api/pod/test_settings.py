"""What a process is told by its environment."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from chatfleet_api.pod.settings import ENVIRONMENT, Settings, SettingsError, read_settings


def test_without_any_environment_it_is_a_first_look_on_this_machine_alone() -> None:
    assert read_settings({}) == Settings(host="127.0.0.1", port=8000, health_port=8001, pod="local")


def test_a_pod_listens_on_every_address() -> None:
    settings = read_settings({"CHATFLEET_CONFIG_FILE": "/etc/c.json", "CHATFLEET_POD_NAME": "p-1"})
    assert settings == Settings(config_file=Path("/etc/c.json"), host="", pod="p-1")


@pytest.mark.feature(52)
def test_every_variable_is_read() -> None:
    given = {
        "HOST": "::1",
        "PORT": "0",
        "HEALTH_PORT": "9001",
        "ADMIN_PORT": "9002",
        "REDIS_URL": "redis://r",
        "POD_NAME": " p ",
        "DRAIN_TOKEN": "t",
    }
    settings = read_settings({f"CHATFLEET_{name}": value for name, value in given.items()})
    secrets = {"redis_url": SecretStr("redis://r"), "drain_token": SecretStr("t")}
    assert settings == Settings(host="::1", port=0, health_port=9001, admin_port=9002, pod="p").model_copy(
        update=secrets
    )
    assert {f"CHATFLEET_{name}" for name in given} == {name for name, _ in ENVIRONMENT} - {"CHATFLEET_CONFIG_FILE"}


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert read_settings({name: " " for name, _ in ENVIRONMENT}) == Settings()


@pytest.mark.feature(26, 52)
@pytest.mark.parametrize("port", ["http", "-1", "65536", "80.5", "²", "tcp://10.0.0.1:80"])
@pytest.mark.parametrize("name", ["CHATFLEET_PORT", "CHATFLEET_HEALTH_PORT"])
def test_a_port_that_cannot_be_is_told_by_name_and_remedy(name: str, port: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is .*; set it to a port between 0"):
        read_settings({name: port})


def test_a_redis_that_would_not_be_used_is_told() -> None:
    with pytest.raises(SettingsError, match="CHATFLEET_REDIS_URL has no effect with CHATFLEET_CONFIG_FILE"):
        read_settings({"CHATFLEET_CONFIG_FILE": "/etc/c.json", "CHATFLEET_REDIS_URL": "redis://r"})


def test_a_secret_is_not_shown() -> None:
    settings = read_settings({"CHATFLEET_REDIS_URL": "redis://:hidden@r", "CHATFLEET_DRAIN_TOKEN": "hidden"})
    assert "hidden" not in f"{settings!r} {settings}"
