"""The list of all ChatDeployments, from the API server itself: it finds what the watch missed."""

from collections.abc import AsyncIterator, Sequence

from chatfleet_contract import names
from chatfleet_operator.kube.list_watch import Api, list_pages
from chatfleet_operator.model.values import Ref


async def list_chatdeployments(api: Api, namespaces: Sequence[str]) -> AsyncIterator[Ref]:
    """Yield every ChatDeployment in `namespaces`; with none given, in the whole cluster."""
    for namespace in namespaces or ("",):
        async for page in list_pages(api, names.KIND, namespace, {}):
            for item in page["items"]:
                yield Ref(item["metadata"]["namespace"], item["metadata"]["name"])
