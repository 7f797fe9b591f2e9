"""What `false_alarms.py` is made of: traffic, the methods that watch it, and their scores."""
