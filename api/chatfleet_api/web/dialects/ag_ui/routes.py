"""A run of a thread: a message that is answered, or the answer of one that was sent before."""

from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from chatfleet_api.chat.client_ids import conversation_of, ensure
from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.live import Live
from chatfleet_api.web.client import CLIENT_DISCONNECTED, Client
from chatfleet_api.web.dialects.ag_ui.encode import AgentEncoder
from chatfleet_api.web.dialects.ag_ui.request import RunAgentInput, read_question
from chatfleet_api.web.dialects.native.bodies import ErrorBody
from chatfleet_api.web.documentation import fails, returns, takes
from chatfleet_api.web.hot_route import HotEndpoint, HotRoute, Operation
from chatfleet_api.web.services import Services
from chatfleet_api.web.stream import SSEStreams
from chatfleet_contract.spec import OnClientDisconnect

PREFIX: Final = "/api/v1/ag-ui"
RUN: Final[Operation] = {
    "tags": ["AG-UI"],
    "summary": "Run an agent on a thread",
    "description": "Stores the last message of the thread and streams its answer as events of AG-UI 1.0. A message"
    " that is sent again is answered once: its run is joined, or replayed.",
    "operationId": "run_agent",
    **takes(RunAgentInput),
    "responses": {**returns(None, description="The events.", streams=True), **fails(ErrorBody)},
}


class RunAgent(HotEndpoint):
    """The run is the thread's, not the request's: a client that sends its message again gets the same answer."""

    def __init__(
        self, conversations: Conversations, streams: SSEStreams, *, on_client_disconnect: Live[OnClientDisconnect]
    ) -> None:
        """Let the run go on, or cancel it, when the client disconnects that started it."""
        self._conversations = conversations
        self._streams = streams
        self._on_client_disconnect = on_client_disconnect

    @override
    async def answer(self, client: Client) -> None:
        question = read_question(await client.body())
        principal = client.principal
        conversation = conversation_of(principal, question.thread)
        await ensure(self._conversations, principal, conversation)
        run = await self._conversations.send(principal, conversation, question.message, key=question.key)
        client.show(run.quota)
        ended = await self._streams.send(run.read, AgentEncoder(question.thread, question.run), client)
        if ended in (CLIENT_DISCONNECTED, Code.CREDENTIAL_REVOKED) and self._on_client_disconnect() == "cancel":
            run.cancel()


def hot_routes(services: Services) -> Sequence[HotRoute]:
    run = RunAgent(services.conversations, services.streams, on_client_disconnect=services.on_client_disconnect)
    return (HotRoute("POST", PREFIX, endpoint=run, operation=RUN),)
