"""The configuration: schema, reading, merging, and sentences about mistakes."""
