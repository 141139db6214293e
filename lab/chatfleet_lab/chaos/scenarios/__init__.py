"""One file a promise; its name is the scenario's."""
