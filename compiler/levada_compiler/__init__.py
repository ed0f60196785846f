"""Levada."""
