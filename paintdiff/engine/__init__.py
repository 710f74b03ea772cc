"""The engine: the queue, its worker, and what it does when memory runs out."""
