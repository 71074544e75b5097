"""From a path of the trace tree to a program: pipeline.py lists the passes in order.

lower.py           a path becomes a Graph of operations
differentiate.py   reverse mode on a Graph, appended to a Graph
"""
