"""Upstreams behind one narrow port, and the wrappers that limit, retry, fall back and measure."""
