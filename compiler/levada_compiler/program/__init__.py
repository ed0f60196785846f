"""The program (IR) and what is told from it."""
