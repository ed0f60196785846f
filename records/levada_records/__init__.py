"""The reading side: what runs recorded in a store, found, compared and collected.

It imports `levada` only. See docs/records.md.
"""
