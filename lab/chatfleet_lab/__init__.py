"""chatfleet_lab."""
