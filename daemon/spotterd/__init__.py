"""spotterd: watches the sky on a Jetson board and reports aircraft over MQTT."""
