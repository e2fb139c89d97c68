"""Running commands: processes on pipes or terminals, the store of background commands, and what of their output
is shown.
"""
