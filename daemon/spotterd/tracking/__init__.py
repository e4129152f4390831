"""Room 4, pure: detections and times in, tracks out."""
