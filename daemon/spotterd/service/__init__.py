"""Threads, supervision and systemd: what makes a daemon of the rooms."""
