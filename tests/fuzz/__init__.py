"""Modules made at random, compiled for every target: the answer is files or diagnostics."""
