"""Names of images in a cluster, and the one image that the cluster tool makes itself."""

import io
import json
import tarfile

import pytest

from chatfleet_cluster.images import pause_archive, qualified


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("chatfleet.local/api:dev", "chatfleet.local/api:dev"),
        ("chatfleet.local/api", "chatfleet.local/api:latest"),
        ("localhost/api", "localhost/api:latest"),
        ("localhost:5000/api", "localhost:5000/api:latest"),
        ("debian:trixie", "docker.io/library/debian:trixie"),
        ("me/api", "docker.io/me/api:latest"),
        ("chatfleet.local/api@sha256:ab", "chatfleet.local/api@sha256:ab"),
    ],
)
def test_an_image_is_known_to_the_kubelet_by_its_full_name(given: str, full: str) -> None:
    assert full == qualified(given)


def read(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        return {name: files.extractfile(name).read() for name in files.getnames()}  # type: ignore[union-attr]


def test_the_pause_image_holds_its_program_and_runs_it_as_nobody() -> None:
    files = read(pause_archive(b"program", "aarch64"))
    config, manifest = json.loads(files["config.json"]), json.loads(files["manifest.json"])

    assert config["architecture"] == "arm64"
    assert config["config"] == {"Entrypoint": ["/pause"], "User": "65535:65535"}
    assert manifest[0]["RepoTags"] == ["chatfleet.local/pause:1"]
    assert read(files["layer.tar"]) == {"pause": b"program"}


def test_the_pause_image_is_the_same_each_time() -> None:
    assert pause_archive(b"program", "x86_64") == pause_archive(b"program", "x86_64")
