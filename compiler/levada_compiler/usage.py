"""Wrong usage, told from what is wrong with a pipeline."""


class UsageError(Exception):
    """What was asked for cannot be done; the text is for the user. Exit status 2."""
