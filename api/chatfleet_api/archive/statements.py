"""The statements of the archive: each takes one JSON document, and a repeat of it changes nothing."""

from typing import Final

BEGIN: Final = """
SELECT set_config('role', 'chatfleet_archive', true), set_config('chatfleet.deployment', %(deployment)s, true),
  set_config('chatfleet.tenant', %(tenant)s, true), set_config('statement_timeout', %(timeout)s, true)
"""
"""The beginning of each transaction: it works as the role without rights of its own, for one tenant."""
TENANT: Final = "SELECT set_config('chatfleet.tenant', %(tenant)s, true)"
NEW_TERM: Final = """
INSERT INTO chatfleet.writers (deployment, term) VALUES (%(deployment)s, 1)
ON CONFLICT (deployment) DO UPDATE SET term = writers.term + 1
RETURNING term
"""
TERM: Final = "SELECT term FROM chatfleet.writers WHERE deployment = %(deployment)s FOR UPDATE"
"""Lock the term until the transaction ends, so that no later writer overtakes this one."""
DELETE: Final = "DELETE FROM chatfleet.conversations WHERE id = ANY(%(ids)s::uuid[])"
CONVERSATIONS: Final = """
INSERT INTO chatfleet.conversations
  (deployment, tenant, id, user_id, title, metadata, head, version, created_at, updated_at)
SELECT %(deployment)s, %(tenant)s, id, user_id, title, metadata, head, version, created_at, updated_at
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r(
  id uuid, user_id text, title text, metadata jsonb, head jsonb, version bigint,
  created_at timestamptz, updated_at timestamptz)
ON CONFLICT (deployment, tenant, id) DO UPDATE SET
  user_id = excluded.user_id, head = excluded.head, version = excluded.version, updated_at = excluded.updated_at,
  title = CASE WHEN excluded.created_at > conversations.created_at THEN coalesce(excluded.title, conversations.title)
    ELSE excluded.title END,
  metadata = CASE WHEN excluded.created_at > conversations.created_at THEN conversations.metadata || excluded.metadata
    ELSE excluded.metadata END
"""
"""One that was created later has begun anew while its past could not be read: it keeps that."""
MESSAGES: Final = """
INSERT INTO chatfleet.messages
  (deployment, tenant, conversation_id, id, position, role, content, status, provider, model, created_at, removed,
   metadata)
SELECT %(deployment)s, %(tenant)s, r.conversation_id, r.id,
  coalesce(known.last, 0) + row_number() OVER (PARTITION BY r.conversation_id ORDER BY r.ordinal),
  r.role, r.content, r.status, r.provider, r.model, r.created_at, r.removed, r.metadata
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r(
  conversation_id uuid, id uuid, ordinal integer, role text, content text, status text, provider text, model text,
  created_at timestamptz, removed boolean, metadata jsonb)
LEFT JOIN LATERAL (
  SELECT max(position) AS last FROM chatfleet.messages m
  WHERE m.deployment = %(deployment)s AND m.tenant = %(tenant)s AND m.conversation_id = r.conversation_id
) AS known ON true
ON CONFLICT (deployment, tenant, conversation_id, id) DO UPDATE SET
  role = excluded.role, content = excluded.content, status = excluded.status, provider = excluded.provider,
  model = excluded.model, created_at = excluded.created_at, removed = excluded.removed, metadata = excluded.metadata
"""
"""A message keeps the position that it has; new ones come after all that are there."""
NO_FEEDBACK: Final = """
DELETE FROM chatfleet.feedback f
USING jsonb_to_recordset(%(rows)s::jsonb) AS r(conversation_id uuid, message_id uuid)
WHERE f.deployment = %(deployment)s AND f.tenant = %(tenant)s
  AND f.conversation_id = r.conversation_id AND f.message_id = r.message_id
"""
"""What is on a removed message goes with it. All else stays: Redis need not know it, if a conversation began anew."""
FEEDBACK: Final = """
INSERT INTO chatfleet.feedback
  (deployment, tenant, conversation_id, key, user_id, message_id, thumb, rating, comment, created_at, updated_at)
SELECT %(deployment)s, %(tenant)s, conversation_id, key, user_id, message_id, thumb, rating, comment, created_at,
  updated_at
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r(
  conversation_id uuid, key text, user_id text, message_id uuid, thumb text, rating smallint, comment text,
  created_at timestamptz, updated_at timestamptz)
ON CONFLICT (deployment, tenant, conversation_id, key) DO UPDATE SET
  thumb = excluded.thumb, rating = excluded.rating, comment = excluded.comment, updated_at = excluded.updated_at
"""
USAGE: Final = """
INSERT INTO chatfleet.usage
  (deployment, tenant, conversation_id, message_id, user_id, provider, model, upstream_model, input_tokens,
   output_tokens, cost_usd, created_at, metadata)
SELECT %(deployment)s, %(tenant)s, conversation_id, message_id, user_id, provider, model, upstream_model, input_tokens,
  output_tokens, cost_usd, created_at, metadata
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r(
  conversation_id uuid, message_id uuid, user_id text, provider text, model text, upstream_model text,
  input_tokens bigint, output_tokens bigint, cost_usd numeric, created_at timestamptz, metadata jsonb)
ON CONFLICT (deployment, tenant, conversation_id, message_id) DO UPDATE SET
  user_id = excluded.user_id, provider = excluded.provider, model = excluded.model,
  upstream_model = excluded.upstream_model, input_tokens = excluded.input_tokens,
  output_tokens = excluded.output_tokens, cost_usd = excluded.cost_usd, metadata = excluded.metadata
"""
READ: Final = """
SELECT row_to_json(found)::text FROM (
  SELECT id, user_id, title, metadata, head, version, created_at, updated_at,
    (SELECT coalesce(json_agg(m ORDER BY m.position), '[]') FROM (
      SELECT id, position, role, content, status, provider, model, created_at, removed, metadata
      FROM chatfleet.messages
      WHERE deployment = c.deployment AND tenant = c.tenant AND conversation_id = c.id
    ) AS m) AS messages,
    (SELECT coalesce(json_agg(f ORDER BY f.created_at, f.key), '[]') FROM (
      SELECT key, user_id, message_id, thumb, rating, comment, created_at, updated_at
      FROM chatfleet.feedback
      WHERE deployment = c.deployment AND tenant = c.tenant AND conversation_id = c.id
    ) AS f) AS feedback
  FROM chatfleet.conversations c
  WHERE deployment = %(deployment)s AND tenant = %(tenant)s AND id = %(id)s::uuid
) AS found
"""
"""A conversation as one document, with its messages and feedback as of one moment."""
RECORD: Final = """
SELECT row_to_json(found)::text FROM (
  SELECT id, user_id, title, metadata, head, version, created_at, updated_at FROM chatfleet.conversations
  WHERE deployment = %(deployment)s AND tenant = %(tenant)s AND id = %(id)s::uuid
) AS found
"""
"""A conversation as one document, without its messages and feedback."""
KNOWN: Final = """
SELECT coalesce(json_agg(id), '[]')::text FROM chatfleet.conversations
WHERE deployment = %(deployment)s AND tenant = %(tenant)s AND id = ANY(%(ids)s::uuid[])
"""
"""The ids of those conversations that are there."""
_LIST: Final = """
SELECT coalesce(json_agg(found ORDER BY updated_at DESC, id DESC), '[]')::text FROM (
  SELECT id, user_id, title, metadata, head, version, created_at, updated_at FROM chatfleet.conversations
  WHERE deployment = %(deployment)s AND tenant = %(tenant)s AND updated_at >= %(since)s
    AND (updated_at, id) < (%(changed)s, %(before)s::uuid) AND_USER
  ORDER BY updated_at DESC, id DESC LIMIT %(limit)s
) AS found
"""
LIST: Final = _LIST.replace("AND_USER", "")
LIST_OF_USER: Final = _LIST.replace("AND_USER", "AND user_id = %(user)s")
"""Each reads one index, from where the page before ended."""
