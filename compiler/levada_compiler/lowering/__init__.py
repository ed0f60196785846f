"""From the syntax of a pipeline function to the IR."""
