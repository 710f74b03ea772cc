"""The Gallery tab: find, rate and reuse finished pictures."""
