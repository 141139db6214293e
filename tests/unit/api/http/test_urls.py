"""What is requested of the server that a URL names."""

import pytest

from chatfleet_api.http.urls import usable


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://tools.example.com", "/"),
        ("http://tools.example.com?key=a", "/?key=a"),
        ("http://tools.example.com/mcp", "/mcp"),
        ("http://tools.example.com/a%20b?key=a", "/a%20b?key=a"),
    ],
)
def test_the_target_begins_with_a_slash(url: str, target: str) -> None:
    assert usable(url)[2] == target
