"""The process and the machine: screen, signals, memory, random numbers, several processes."""
