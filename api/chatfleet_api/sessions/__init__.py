"""Conversations and their messages, kept beyond the pod that wrote them.

store.py    what every session store promises; conversations, messages, appends, idempotency records
tree.py     branches: the messages as a tree, and its current path
listing.py  which conversations a listing shows, their order, and its cursor
memory.py   the store of a pod without Redis
redis.py    the store in Redis
keys.py     its keys of one conversation
attached.py data of items, such as images: taken out, and put back
attachments.py that data in Redis: once for a tenant, by digest
feedback.py feedback of users, and what its store promises; in Redis: redis_feedback.py, memory: memory_feedback.py
scripts.py  its Lua scripts: each is one atomic step; an append checks version and fencing token
index.py    its listings: sorted sets by last change
pages.py    reads them page by page
sweep.py    deletes conversations in Redis by age
opening.py  opens the store, in memory or in Redis
"""
