"""A pod that is forked is a process of its own: its environment, folder, output, signals and end are its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.fork_server import forked
from harness.net import free_port
from harness.pods.api_process import api_process, scripted
from harness.polling import eventually

PODS = "chatfleet_api.__main__"
ORPHAN = """
import os
from pathlib import Path

from harness.fork_server import forked

with forked("pod", "chatfleet_api.__main__", folder=Path.cwd(), environment={variables!r}) as pod:
    print(pod.pid, flush=True)
    os._exit(0)
"""


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_it_has_the_environment_and_the_folder_that_are_given_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATFLEET_PORT", "70000")
    (tmp_path / "own.json").write_text("{")
    given = {"CHATFLEET_CONFIG_FILE": "own.json", "CHATFLEET_HEALTH_PORT": "0"}
    with forked("pod", PODS, folder=tmp_path, environment=given) as pod:
        assert pod.exit_status() == 2
        assert pod.last_words().startswith("chatfleet-api: own.json "), "not of CHATFLEET_PORT, which it has not"


@pytest.mark.parametrize(("module", "whose"), [("operator", "operator"), ("metrics", "metrics-apiserver")])
def test_a_program_that_cannot_run_ends_as_python_m_would_end_it(tmp_path: Path, module: str, whose: str) -> None:
    given = {f"CHATFLEET_{whose.upper().replace('-', '_')}_HEALTH_PORT": "many"}
    with forked("program", f"chatfleet_{module}.__main__", folder=tmp_path, environment=given) as program:
        assert program.exit_status() == 1
        assert program.last_words().startswith(f"chatfleet-{whose}: CHATFLEET_")


def test_two_that_run_at_once_share_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with api_process(tmp_path, scripted("echo")) as one, api_process(tmp_path / "other", scripted("count")) as other:
        assert one.health("/health").json["config"] == scripted("echo").digest()
        assert other.health("/health").json["config"] == scripted("count").digest()
        one.program.kill()
        assert one.program.exit_status() == -signal.SIGKILL
        one.program.kill()
        assert other.has_started()
        other.program.pause()
        other.program.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            other.program.exit_status(0)
        other.program.resume()
        assert other.program.exit_status() == 0


def test_it_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    variables = {"CHATFLEET_PORT": str(free_port()), "CHATFLEET_HEALTH_PORT": str(free_port())}
    command = (sys.executable, "-c", ORPHAN.format(variables=variables))
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=50).stdout
    eventually(lambda: has_ended(int(printed)))


def test_a_module_that_cannot_be_imported_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with api_process(tmp_path, scripted("echo")) as pod:
        with forked("program", "chatfleet_api.absent", folder=tmp_path / "other", environment={}) as program:
            assert program.exit_status() == 1
            assert "No module named 'chatfleet_api.absent'" in program.last_words()
        assert pod.has_started()
