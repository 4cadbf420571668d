"""Electrical power, from what the machine has: one file per source.

Every source offers `find(...)`, which returns a source that answers, or a Missing with reason and remedy.
"""
