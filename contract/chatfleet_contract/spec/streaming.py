"""`spec.streaming`: limits and timers of streams."""

from pydantic import Field

from chatfleet_contract.parts import Part


class Streaming(Part):
    """Limits and timers of streams."""

    max_streams_per_pod: int = Field(
        500,
        ge=1,
        le=20_000,
        description="Maximum of concurrent streams per pod. The pod rejects further requests with 503 and Retry-After.",
    )
    max_stream_seconds: int = Field(
        600,
        ge=1,
        le=86_400,
        description="Maximum duration of a stream. A terminating pod waits that long for its open streams.",
    )
    heartbeat_seconds: int = Field(
        15,
        ge=1,
        le=300,
        description="Seconds without an event after which the pod sends a comment to keep the connection open.",
    )
    drain_seconds: int = Field(
        10,
        ge=0,
        le=300,
        description="Seconds that a terminating pod still accepts requests, while load balancers remove it. 0: none.",
    )
    log_ttl_seconds: int = Field(
        3600,
        ge=60,
        le=604_800,
        alias="logTTLSeconds",
        description="Seconds that the events of a finished stream stay readable, for clients that resume.",
    )
    token_delay_milliseconds: int = Field(
        0,
        ge=0,
        le=1000,
        description="Least time between two tokens of a stream, for a steady pace. It delays clients, not upstreams.",
    )
