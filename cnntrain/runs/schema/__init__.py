"""What a checkpoint may hold: checked when it is loaded, before anything is built from it."""
