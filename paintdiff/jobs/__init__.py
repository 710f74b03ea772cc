"""Requests, jobs and their events."""
