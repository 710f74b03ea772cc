"""Whole models in one file."""
