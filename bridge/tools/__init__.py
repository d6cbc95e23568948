"""Functions that a model may call: described from their signatures, run with a deadline, their results bounded."""

from bridge.tools.toolbox import Tool, Toolbox, ToolFailed, ToolResult, tool_of

__all__ = ["Tool", "ToolFailed", "ToolResult", "Toolbox", "tool_of"]
