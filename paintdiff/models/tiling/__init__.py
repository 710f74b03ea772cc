"""Large pictures in parts."""
