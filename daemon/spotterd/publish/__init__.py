"""Room 6: topics, payloads, the outbox and the broker."""
