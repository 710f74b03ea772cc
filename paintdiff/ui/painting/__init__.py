"""What the tabs that paint have in common."""
