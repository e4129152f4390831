"""Room 5, pure: tracks, zones and times in, events out."""
