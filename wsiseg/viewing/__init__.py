"""What a viewer asks of wsiseg: pixels of any level, labels as they come, runs that can be stopped.

Nothing here knows which viewer asks. The napari plugin is built on it, and adds windows alone.
"""
