"""The languages in which commands explain: English in the code, others in gettext catalogues beside it."""
