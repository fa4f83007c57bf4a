"""What a task says about an exported model, and what the program beside it is made of."""
