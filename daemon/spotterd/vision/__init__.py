"""Room 2, pure: letterbox, heads, boxes, drawing. Arrays in, new arrays out."""
