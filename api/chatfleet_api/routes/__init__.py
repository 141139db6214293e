"""HTTP handlers: parse, call, encode."""
