"""What each command does, up to the point where torch is needed."""
