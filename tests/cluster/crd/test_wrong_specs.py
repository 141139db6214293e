"""Wrong ChatDeployments that the API server rejects: it names the field and the remedy."""

from typing import Final

import pytest

from harness.kube.chatdeployments import ChatDeployments, RefusedError
from harness.kube.wrong_specs import WrongSpec, wrong_specs

REFUSED: Final = [row for row in wrong_specs() if row.refused]


@pytest.mark.parametrize("row", REFUSED, ids=str)
def test_the_field_and_the_remedy_are_named(chatdeployments: ChatDeployments, row: WrongSpec) -> None:
    with pytest.raises(RefusedError) as refused:
        chatdeployments.try_create(row.document("wrong"))

    named = [cause.message for cause in refused.value.causes if cause.field == row.refused]
    unknown = f'unknown field "{row.refused}"'
    message = named[0] if named else str(refused.value)
    assert named or unknown in message, message
    assert all(word in message for word in row.words), message
