"""OpenAI's Images API: clients of it work here when their base URL is changed."""
