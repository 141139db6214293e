"""What a process is told by its environment."""

from pathlib import Path

import pytest

from chatfleet_api.pod.settings import ENVIRONMENT, Settings, SettingsError, read_settings


def test_without_any_environment_it_is_a_first_look_on_this_machine_alone() -> None:
    assert read_settings({}) == Settings(None, "127.0.0.1", 8000, 8001, None, "local")


def test_a_pod_listens_on_every_address() -> None:
    settings = read_settings({"CHATFLEET_CONFIG_FILE": "/etc/c.json", "CHATFLEET_POD_NAME": "p-1"})
    assert settings == Settings(Path("/etc/c.json"), "", 8000, 8001, None, "p-1")


def test_every_variable_is_read() -> None:
    given = {
        "HOST": "::1",
        "PORT": "0",
        "HEALTH_PORT": "9001",
        "REDIS_URL": "redis://r",
        "POD_NAME": " p ",
        "DRAIN_TOKEN": "t",
    }
    settings = read_settings({f"CHATFLEET_{name}": value for name, value in given.items()})
    assert settings == Settings(None, "::1", 0, 9001, "redis://r", "p", "t")
    assert {f"CHATFLEET_{name}" for name in given} == {name for name, _ in ENVIRONMENT} - {"CHATFLEET_CONFIG_FILE"}


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert read_settings({name: " " for name, _ in ENVIRONMENT}) == Settings()


@pytest.mark.parametrize("port", ["http", "-1", "65536", "80.5", "²", "tcp://10.0.0.1:80"])
@pytest.mark.parametrize("name", ["CHATFLEET_PORT", "CHATFLEET_HEALTH_PORT"])
def test_a_port_that_cannot_be_is_told_by_name_and_remedy(name: str, port: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is .*; set it to a port between 0"):
        read_settings({name: port})


def test_a_redis_that_would_not_be_used_is_told() -> None:
    with pytest.raises(SettingsError, match="CHATFLEET_REDIS_URL has no effect with CHATFLEET_CONFIG_FILE"):
        read_settings({"CHATFLEET_CONFIG_FILE": "/etc/c.json", "CHATFLEET_REDIS_URL": "redis://r"})
