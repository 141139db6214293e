"""The archive in PostgreSQL: conversations, messages, feedback and usage, kept for good.

- `migrations/`: the schema as plain SQL, up and down; each table has a policy by ChatDeployment and tenant
- `migrator`: applies the migrations under an advisory lock
- `connecting`: the arguments of a connection
- `__main__`: `python -m chatfleet_api.archive upgrade|downgrade|current`
"""
