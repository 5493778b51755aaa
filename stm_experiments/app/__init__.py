"""Between the user and the rooms: command line, messages, building from a config, tables."""
