"""The use of trained models of sequences: on files, and exported."""
