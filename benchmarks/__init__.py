"""Measured beside what users would otherwise run; RESULTS.md has the figures."""
