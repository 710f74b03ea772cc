"""The guard around every route: limits on senders, sizes and times."""
