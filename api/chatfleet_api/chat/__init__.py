"""What happens between a request and the end of its answer. Knows ports and events, no web framework and no vendor.

services        wires all of these
completions     runs of one request that belong to no conversation
conversations   conversations, and the messages sent in them (`sending`)
placing         a turn, and where in a conversation it goes on
new_conversation  a conversation to begin, and what it begins with
client_ids      conversations that clients name by ids of their own
ownership       which conversations a caller sees
responses       turns that are retrieved, resumed, continued, cancelled and deleted by their id
once            responses with an idempotency key
approvals       decisions of people about calls that wait: each starts one answer that goes on
decisions       what such a decision is, and what that answer gets
response_approvals  the same as items of responses
turn            THE page of one run: admit, guard, steps, account, settle, publish the end
producing       what produces the run of a client's request, and whether its headers wait for the response cache
steps           the steps of a turn: how often its provider is called, and with what
agent_steps     the steps of agents: who answers, and who goes on after a hand-over
handoffs        the functions by which agents hand over, and what the next agent reads
tool_steps      the steps of models with tool servers: request, call, request again
tool_turn       the steps of one model in an answer, in turn
tool_pieces     what one of these steps reads: what readers get, and the calls that the pod makes
tool_approval   which calls of such a step wait for approval, and what is not made
tool_progress   how far these steps got, by the log: where a successor goes on
traces          the spans of a turn and of a takeover
accounting      what an answer has used, priced and counted at its end
following       what a run that no log has has used so far, should its pod die
emitting        what is done with each read of the upstream
notices         what a run makes known inside of the pod
reply           the answer while it streams
missing         what readers lack of an answer that was stored whole
takeover        runs of pods that died or handed them over
attachments     images and files of messages: checked, and what they are to a model
attaching       their content: of a data URL, or fetched from an address
room            whether a conversation can have more messages, and more data of images and files
follow_up       runs that follow an answer, without a request of a client
titles          titles that a model makes, of conversations without one
summaries       summaries of the oldest turns of conversations, for their next ones
queueing        messages that wait for their turn in a conversation, or preempt the answers before them
branches        where in the tree of a conversation a turn goes on
replay          repeated requests with an idempotency key
announcing      events for webhooks
feedback        of users, on answers and conversations
embeddings      embeddings, counted as answers are
usage_reports   the sums that a caller may see
user_webhooks   the webhook that a user has, and changes
joining         which run a reader joins or resumes, and where
items           items of the OpenAI dialect, and the messages that they are to a model; item_kinds: their fields
compaction      a conversation as a summary by its model
window          which messages of a conversation go to the model, by tokens
truncation      a request without its oldest turns, when it is too long for its model
thoughts        reasoning as text that clients send back
relayed         what earlier turns are to an upstream of the Responses API
history         what the messages so far mean for the next turn
limits          what a request, and then its run, holds of the limits of its caller
models          the catalogue as all of these need it
"""
