"""The ground of the API: values and tables that every package may use, and that use none.

request          a chat request, as every dialect parses it and every vendor reads it
events           the events of a run
errors           error codes, the failure table, and the exceptions
downloads        what is fetched for clients, and why it may not be
logprobs         log probabilities beside a text
lost_position    the error for a reader whose place in a run is lost
seals            what clients keep for models whose own API has no encrypted content
principal        the caller of a request
tools            tools that the pods call themselves
model_names      names of models, and the error for one that does not exist
key_limits       limits and a budget that an API key has of its own
quota            what is left to a caller, and what a request holds of it
ids              which text is an id
trace            the span of a task, where there is tracing
cache_use        what a request wants of the response cache, and what came of it
live             live configuration: `Live`
presence         which users have a request in progress
log_context      the ids in log lines of a request or a run
dispatch         events inside of a pod, and who listens to them
tasks            what a pod does in the background
large            work on large data that leaves the event loop free
unexpected       log lines of errors that repeat
usage_estimate   tokens of an answer when the provider does not report them
"""
