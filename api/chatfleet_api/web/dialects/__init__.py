"""How requests are read and events written for each kind of client, byte for byte."""
