"""From a path of the trace tree to a program: pipeline.py lists the passes in order.

lower.py           a path becomes a Graph of operations
differentiate.py   reverse mode on a Graph, appended to a Graph
stepwise.py        a program that runs a step at a time, and knows where each came from
explain.py         what ran and why, as data; explain_text.py and explain_page.py show it
"""
