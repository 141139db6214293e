"""A run of a thread: a message that is answered, or the answer of one that was sent before."""

from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from chatfleet_api.chat.client_ids import conversation_of, ensure
from chatfleet_api.web.client import Client
from chatfleet_api.web.conversation_endpoint import ConversationEndpoint
from chatfleet_api.web.dialects.ag_ui.encode import AgentEncoder
from chatfleet_api.web.dialects.ag_ui.request import RunAgentInput, read_question
from chatfleet_api.web.dialects.native.bodies import ErrorBody
from chatfleet_api.web.documentation import fails, returns, takes
from chatfleet_api.web.hot_route import HotRoute, Operation
from chatfleet_api.web.services import Services

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


class RunAgent(ConversationEndpoint):
    """The run is the thread's, not the request's: a client that sends its message again gets the same answer."""

    @override
    async def answer(self, client: Client) -> None:
        question = read_question(await client.body())
        principal = client.principal
        conversation = conversation_of(principal, question.thread)
        await ensure(self._conversations, principal, conversation)
        run = await self._conversations.send(principal, conversation, question.message, key=question.key)
        await self.stream(run, AgentEncoder(question.thread, question.run), client)


def hot_routes(services: Services) -> Sequence[HotRoute]:
    return (HotRoute("POST", PREFIX, endpoint=RunAgent(services), operation=RUN),)
