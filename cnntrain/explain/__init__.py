"""``cnntrain explain``: what training does, shown with the numbers of a real batch; and as one plain file."""
