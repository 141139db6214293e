"""The turn: what happens between a question and the end of its answer. Knows ports and events, no framework."""
