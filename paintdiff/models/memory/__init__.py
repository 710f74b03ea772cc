"""Memory plans, offloading and the measurement of memory."""
