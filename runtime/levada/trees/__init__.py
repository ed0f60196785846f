"""Trees: the canonical JSON form of values, with a tag for what JSON does not have."""
