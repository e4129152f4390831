"""Room 1: pictures from files, folders, cameras, streams and a made-up sky."""
