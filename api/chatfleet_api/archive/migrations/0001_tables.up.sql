-- The role that pods work as. It is no superuser and cannot bypass row-level security, whatever the login can.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'chatfleet_archive') THEN
    CREATE ROLE chatfleet_archive NOLOGIN;
  END IF;
  BEGIN
    GRANT chatfleet_archive TO CURRENT_USER;
  EXCEPTION WHEN insufficient_privilege THEN
    NULL; -- an administrator has made the role, and granted it
  END;
END
$$;

-- One row for each ChatDeployment: the term of its one writer, which each of its transactions locks and checks.
CREATE TABLE chatfleet.writers (
  deployment text PRIMARY KEY,
  term bigint NOT NULL
);

CREATE TABLE chatfleet.conversations (
  deployment text NOT NULL,
  tenant text NOT NULL,
  id uuid NOT NULL,
  user_id text,
  title text,
  metadata jsonb NOT NULL,
  head jsonb,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (deployment, tenant, id)
);
CREATE INDEX conversations_by_change ON chatfleet.conversations (deployment, tenant, updated_at DESC, id DESC);
CREATE INDEX conversations_of_user ON chatfleet.conversations (deployment, tenant, user_id, updated_at DESC, id DESC);

-- `position` orders the messages of a conversation. `metadata` has what the other columns do not have.
CREATE TABLE chatfleet.messages (
  deployment text NOT NULL,
  tenant text NOT NULL,
  conversation_id uuid NOT NULL,
  id uuid NOT NULL,
  position bigint NOT NULL,
  role text NOT NULL CHECK (role IN ('system', 'developer', 'user', 'assistant', 'tool')),
  content text NOT NULL,
  status text NOT NULL CHECK (status IN ('complete', 'pending', 'failed', 'cancelled', 'interrupted')),
  provider text,
  model text,
  created_at timestamptz,
  removed boolean NOT NULL,
  metadata jsonb NOT NULL,
  PRIMARY KEY (deployment, tenant, conversation_id, id),
  UNIQUE (deployment, tenant, conversation_id, position),
  FOREIGN KEY (deployment, tenant, conversation_id)
    REFERENCES chatfleet.conversations (deployment, tenant, id) ON DELETE CASCADE
);

CREATE TABLE chatfleet.feedback (
  deployment text NOT NULL,
  tenant text NOT NULL,
  conversation_id uuid NOT NULL,
  key text NOT NULL,
  user_id text,
  message_id uuid,
  thumb text CHECK (thumb IN ('up', 'down')),
  rating smallint CHECK (rating BETWEEN 1 AND 5),
  comment text,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (deployment, tenant, conversation_id, key),
  FOREIGN KEY (deployment, tenant, conversation_id)
    REFERENCES chatfleet.conversations (deployment, tenant, id) ON DELETE CASCADE
);
CREATE INDEX feedback_by_time ON chatfleet.feedback (deployment, tenant, updated_at DESC);

-- What each answer has used. It has no text, and stays when its conversation is deleted: it is what was paid.
CREATE TABLE chatfleet.usage (
  deployment text NOT NULL,
  tenant text NOT NULL,
  conversation_id uuid NOT NULL,
  message_id uuid NOT NULL,
  user_id text,
  provider text,
  model text,
  upstream_model text,
  input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  cost_usd numeric,
  created_at timestamptz NOT NULL,
  metadata jsonb NOT NULL,
  PRIMARY KEY (deployment, tenant, conversation_id, message_id)
);
CREATE INDEX usage_by_time ON chatfleet.usage (deployment, tenant, created_at);

ALTER TABLE chatfleet.writers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE chatfleet.conversations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE chatfleet.messages ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE chatfleet.feedback ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE chatfleet.usage ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY deployment ON chatfleet.writers
  USING (deployment = current_setting('chatfleet.deployment', true));
CREATE POLICY tenant ON chatfleet.conversations
  USING (deployment = current_setting('chatfleet.deployment', true)
    AND tenant = current_setting('chatfleet.tenant', true));
CREATE POLICY tenant ON chatfleet.messages
  USING (deployment = current_setting('chatfleet.deployment', true)
    AND tenant = current_setting('chatfleet.tenant', true));
CREATE POLICY tenant ON chatfleet.feedback
  USING (deployment = current_setting('chatfleet.deployment', true)
    AND tenant = current_setting('chatfleet.tenant', true));
CREATE POLICY tenant ON chatfleet.usage
  USING (deployment = current_setting('chatfleet.deployment', true)
    AND tenant = current_setting('chatfleet.tenant', true));

REVOKE ALL ON ALL TABLES IN SCHEMA chatfleet FROM PUBLIC;
GRANT USAGE ON SCHEMA chatfleet TO chatfleet_archive;
GRANT SELECT, INSERT, UPDATE, DELETE
  ON chatfleet.writers, chatfleet.conversations, chatfleet.messages, chatfleet.feedback, chatfleet.usage
  TO chatfleet_archive;
