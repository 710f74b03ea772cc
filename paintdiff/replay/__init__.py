"""Paints saved pictures again: to verify them, and to show how they came about."""
