"""The owner of all weights: loads, shares, evicts and leases them."""
