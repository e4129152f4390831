"""What all tests share: brokers."""

pytest_plugins = ("brokers",)
