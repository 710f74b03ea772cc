"""Settings, preferences, presets, and the user's folders."""
