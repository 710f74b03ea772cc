"""Who may use the app besides the person on its machine: API keys and users, with scopes."""
