"""From a request to a resolved request, without open values."""
