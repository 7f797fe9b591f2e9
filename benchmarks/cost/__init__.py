"""What `capture.py` is made of: the records, the controls, and a file for each kind of figure."""
