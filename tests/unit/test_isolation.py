"""The tests' own promises: what a developer's machine holds or reaches decides no result."""

import os
import socket
import warnings
from collections.abc import Iterator

import pytest
from pytest_socket import SocketBlockedError

pytestmark = pytest.mark.usefixtures("_set_variable")


@pytest.fixture(scope="module")
def _set_variable() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHATFLEET_OF_A_DEVELOPER", "set before the test starts")
        yield


def test_a_unit_test_cannot_reach_a_network() -> None:
    with pytest.raises(SocketBlockedError):
        socket.create_connection(("127.0.0.1", 9))


def test_a_test_does_not_see_the_developers_variables() -> None:
    assert "CHATFLEET_OF_A_DEVELOPER" not in os.environ
    assert os.environ["PATH"]


def test_a_warning_is_an_error() -> None:
    with pytest.raises(DeprecationWarning):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
