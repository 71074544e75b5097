"""Reverse mode on what was recorded.

reverse.py     backward() and grad(): one macro edge where possible, else edge by edge over histories
grad_mode.py   no_grad, enable_grad, set_grad_enabled, inference_mode
function.py    autograd.Function
gradcheck.py   gradcheck, gradgradcheck
"""
