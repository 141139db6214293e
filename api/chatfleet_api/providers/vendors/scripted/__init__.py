"""Answers from a script: `provider`."""
