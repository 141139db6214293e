"""Traces with OpenTelemetry (docs/decisions/0540-traces.md). Imported only where `observability.otlpEndpoint` is set.

tracer   begins spans, by the SDK
export   brings ended spans to the collector, from a thread of its own
"""
