"""A folder to copy to a device that runs no current Python, and what comes back from it.

`device/` holds the runner's files as they are copied: plain Python 3.6 that imports nothing of wsiseg.
"""
