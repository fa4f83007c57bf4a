"""Detection as a task: boxes around objects, with their classes."""
