"""The configuration: what each key is, how it is composed, checked and turned into objects."""
