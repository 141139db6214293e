"""What a user of the command sees."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatfleet_cluster import cli
from chatfleet_cluster.cli import app


@pytest.fixture(autouse=True)
def _no_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "node")
    monkeypatch.setattr(cli, "folder_of", lambda name: tmp_path / name)


def test_the_help_names_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout

    for command in ("up", "down", "status", "load", "logs", "kubeconfig", "env", "exec", "which"):
        assert f" {command} " in shown


def test_a_cluster_that_is_not_there_is_not_ready() -> None:
    result = CliRunner().invoke(app, ["status", "--name", "nobody", "--output", "json"])

    assert result.exit_code == 1
    assert '"ready": false' in result.stdout


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["chatfleet-cluster", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    return capsys.readouterr().err


def test_an_error_is_one_message_and_no_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(monkeypatch, capsys, "kubeconfig", "--name", "nobody")

    assert message == "Error: Cluster nobody does not exist. Start it: chatfleet-cluster up --name nobody\n"


def test_a_name_that_names_no_cluster_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Error: --name '../etc' is invalid" in refused(monkeypatch, capsys, "logs", "--name", "../etc")


def test_a_log_that_is_not_there_is_told_with_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one" / "logs").mkdir(parents=True)
    (tmp_path / "one" / "logs" / "etcd.log").touch()

    assert "Available: etcd." in refused(monkeypatch, capsys, "logs", "kubelet", "--name", "one")


def test_ranges_are_refused_for_a_cluster_that_is_not_this_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLUSTER", "current")
    cidrs = "--link=10.1.0.0/30", "--pods=10.2.0.0/16", "--services=10.3.0.0/20"

    assert "apply to a node on this machine only" in refused(monkeypatch, capsys, "up", *cidrs)
