"""HTTP: what the pods' applications answer, in the dialect of the path.

app             routes, middleware, errors: the application of the serving port
services        what routes and middleware are wired with
dialect         what a dialect registers; `dialects/` has one package for each, and the table of all
hot_route       routes that bypass FastAPI because they are called for every answer
conversation_endpoint  the endpoints whose runs belong to a conversation: disconnect cancels, or not
client          one request as ASGI shows it; `disconnect` ends work when its client disconnects
stream          SSE streams: a run's events to one client, with heartbeats; `sse` is the framing
pacing          least time between two tokens to a client
collect         a run read to its end, for clients that do not stream
body            request bodies decoded with msgspec, and complaints about them; `supported`: values that change nothing
idempotency     the header `Idempotency-Key`
errors          errors as HTTP responses and as SSE frames; `error_handlers` for those that FastAPI catches
quota           what is left to a caller, as headers
error_format    what the `errors` module of a dialect offers; `own_names` renames fields that errors of vendors name
middleware/     request id, access log, identity, body limit, hot routes: pure ASGI
caller          who sent a request, as a parameter of FastAPI's routes
state           what middleware puts into a request's scope; `extensions`: what our server puts there
testing         `/test/*`, while it is on
root            links to the API, its documentation and its health; `documentation`: the OpenAPI document
"""
