"""The tools that mlwatch is compared with.

One module each, run as `python -m alarms.peers.NAME FOLDER` by an interpreter that has the tool.
"""
