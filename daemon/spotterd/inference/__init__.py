"""Room 3: backends that run a model behind one protocol."""
