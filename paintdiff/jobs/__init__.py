"""Requests, jobs and the events that a job sends."""
