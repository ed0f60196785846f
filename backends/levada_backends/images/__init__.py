"""Images: what each step of a pipeline needs, and the builders that make images of it."""
