"""Which ChatDeployments exist, asked of the API server itself: what no watch can miss."""

from collections.abc import AsyncIterator, Sequence

from chatfleet_contract import names
from chatfleet_operator.kube.connection import Connection
from chatfleet_operator.model.values import Ref

PAGE = "500"
"""Objects in one answer, so that no count of them makes a large one."""


async def list_chatdeployments(connection: Connection, namespaces: Sequence[str]) -> AsyncIterator[Ref]:
    """Yield every ChatDeployment in `namespaces`; none given: in the whole cluster."""
    for namespace in namespaces or ("",):
        query = {"limit": PAGE}
        while True:
            page = await connection.read(names.KIND, namespace, query=query)
            for item in page["items"]:
                yield Ref(item["metadata"]["namespace"], item["metadata"]["name"])
            following = page["metadata"].get("continue")
            if not following:
                break
            query = {"limit": PAGE, "continue": following}
