"""Conversations and their messages behind one port, in memory or in Redis."""
