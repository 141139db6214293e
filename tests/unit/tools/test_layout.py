"""What a cluster may be called, and what follows from its name."""

import pytest

from chatfleet_cluster.cidrs import SLOTS
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.layout import Layout, check_name


@pytest.mark.parametrize("name", ["local", "a", "e2e-1", "twelve-chars"])
def test_a_short_plain_name_is_accepted(name: str) -> None:
    assert name == check_name(name)


@pytest.mark.parametrize("name", ["", "thirteen-char", "Local", "1st", "a-", "a_b", "../etc", "a/b", "a\n"])
def test_a_name_that_cannot_name_interfaces_and_folders_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match=r"--name .* at most 12 lower-case letters"):
        check_name(name)


def test_the_longest_name_still_makes_an_interface_that_the_kernel_accepts() -> None:
    assert len(Layout("twelve-chars", SLOTS[0]).interface) == 15


def test_each_end_of_the_link_has_its_address() -> None:
    cidrs = SLOTS[1]

    assert (str(cidrs.host), str(cidrs.node)) == ("198.51.100.5", "198.51.100.6")
    assert str(cidrs.api_service) == "198.19.8.1"
