"""The stage: a running job, its progress and its results."""
