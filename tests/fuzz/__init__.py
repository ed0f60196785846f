"""Modules and options made at random, compiled for each target: files or diagnostics."""
