-- The role stays: other databases of the server may use it.
DROP TABLE chatfleet.usage, chatfleet.feedback, chatfleet.messages, chatfleet.conversations, chatfleet.writers;
REVOKE USAGE ON SCHEMA chatfleet FROM chatfleet_archive;
