"""The training doctor: watches a run, and names its problems, the evidence and a suggested fix."""
