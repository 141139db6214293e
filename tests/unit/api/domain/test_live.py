"""A live view follows the configuration that it reads."""

from chatfleet_api.domain.live import Live


def test_a_view_follows_the_value_that_it_reads() -> None:
    current = ["old"]
    view = Live(lambda: current[0])
    shouted = view.map(str.upper)

    assert (view(), shouted()) == ("old", "OLD")

    current[0] = "new"

    assert (view(), shouted()) == ("new", "NEW")
