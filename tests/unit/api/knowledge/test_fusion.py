"""What is well placed in all rankings comes first."""

from chatfleet_api.knowledge.fusion import CONSTANT, fused


def test_second_of_both_goes_before_the_first_of_one() -> None:
    assert [row for row, _ in fused([[1, 2, 3], [4, 2, 5]], 3)] == [2, 1, 4]


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    assert fused([[7], [8, 7]], 1) == [(7, 1 / (CONSTANT + 1) + 1 / (CONSTANT + 2))]


def test_what_one_ranking_alone_has_is_found_too() -> None:
    assert [row for row, _ in fused([[], [3, 1]], 5)] == [3, 1]
    assert fused([[], []], 5) == []
