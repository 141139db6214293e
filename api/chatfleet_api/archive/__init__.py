"""The archive in PostgreSQL: conversations, messages, feedback and usage, kept for good.

- `archived`: the stores with an archive: each change is marked before it is made
- `expired`: what Redis has let expire, read from PostgreSQL; `loading`: brought back into Redis
- `listing`: listings across both
- `marks`: the queue in Redis of conversations that are to be archived
- `changes`: what of a conversation is to be archived, read from Redis
- `keeper`: one pod writes, by a lease; each watches PostgreSQL and the queue
- `postgres`: the tables of one ChatDeployment: batches in one transaction, as a role that is bound by the policies
- `rows`, `documents`: conversations as rows, and back; `statements`: the SQL
- `migrations/`: the schema as plain SQL, up and down; each table has a policy by ChatDeployment and tenant
- `migrator`: applies the migrations under an advisory lock
- `opening`: wires the stores of a pod
- `connecting`: the arguments of a connection
- `__main__`: `python -m chatfleet_api.archive upgrade|downgrade|current`
"""
