"""What a task says of an exported model, and what the program beside it is made of."""
