"""How the board and the daemon are doing."""
