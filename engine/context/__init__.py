"""What the model is told besides the conversation: the context of a thread, its changes, and user input as parts."""

from engine.context.environment import Environment, observe
from engine.context.messages import changes, initial
from engine.context.opening import opening
from engine.context.user_input import user_input

__all__ = ["Environment", "changes", "initial", "observe", "opening", "user_input"]
