"""The command line before Hydra reads it: its flags, its folders of config files, its help."""
