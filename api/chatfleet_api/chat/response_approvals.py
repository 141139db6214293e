"""Approvals as the OpenAI dialect has them: items of a request, from which a response goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from chatfleet_api.chat.approvals import Approvals
from chatfleet_api.chat.decisions import Decision, Resumption
from chatfleet_api.chat.once import Once, RequestKey, ResponseReplay
from chatfleet_api.chat.placing import Turn
from chatfleet_api.chat.responses import NewResponse, ResponseKey
from chatfleet_api.domain.errors import ChatError, Code, NotFoundError
from chatfleet_api.domain.principal import Principal
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.store import IdempotencyRecord
from chatfleet_contract.spec.agents import AGENT, MEMBER_PREFIX


@dataclass(frozen=True)
class ResponseApprovals:
    """Makes responses that go on from decisions: one for each pause, in the conversation or thread of that."""

    once: Once
    approvals: Approvals

    async def create(
        self, principal: Principal, new: NewResponse, decisions: Sequence[Decision], key: RequestKey | None
    ) -> Run | ResponseReplay:
        """Start the run that goes on, or return the response that went on from the same decisions.

        Raises as `Approvals.decide` does, and `ChatError(INVALID_REQUEST)` for a request that names no stored response.
        """
        if key is not None and (replay := await self.once.replay(principal, new, key)):
            return replay
        responses = self.once.responses
        holder = await self._holder(principal, new)
        record = None if key is None else IdempotencyRecord(key.key, key.digest, responses.sender.new_id())
        made = await self.approvals.decide(principal, holder, decisions, partial(self._turn, new), idempotency=record)
        if isinstance(made, Run):
            return made
        found = await responses.find(principal, ResponseKey(holder, made.run or ""))
        return ResponseReplay(responses, principal, found)

    async def _holder(self, principal: Principal, new: NewResponse) -> str:
        """Return the conversation or thread of the response that waits."""
        if new.store and new.conversation is not None:
            return new.conversation
        if not new.store or new.previous is None:
            message = (
                "An approval goes on from a stored response. Send 'previous_response_id' or 'conversation', and omit"
                " 'store'."
            )
            raise ChatError(Code.INVALID_REQUEST, message, param="previous_response_id" if new.store else "store")
        try:
            await self.once.responses.find(principal, new.previous)
        except NotFoundError:
            raise ChatError(Code.PREVIOUS_RESPONSE_NOT_FOUND, param="previous_response_id") from None
        return new.previous.conversation

    def _turn(self, new: NewResponse, resumption: Resumption) -> Turn:
        sender = self.once.responses.sender
        now, model = sender.stamp(), resumption.answer.model or ""
        if new.request.model != model and not (new.request.model == AGENT and model.startswith(MEMBER_PREFIX)):
            message = f"The calls wait in an answer of model '{model}', which alone can go on. Send this model."
            raise ChatError(Code.INVALID_REQUEST, message, param="model")
        questions = tuple(item.stored(sender.new_id(), now) for item in new.items)
        request = replace(new.request, model=model, messages=resumption.messages, decided=resumption.step)
        return Turn(questions, request, new.instructions, new.echo, new.background, resumption)
