"""The command line: the commands, their flags and their help. Imports no torch."""
