"""Reads the source: modules, constants, types, declarations."""
