"""Configuration and requests that come over MQTT."""
