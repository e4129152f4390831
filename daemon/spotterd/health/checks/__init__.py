"""What `spotterd doctor` looks at: each check answers with findings, never with an exception."""
