"""Draws what the runs found. Uses matplotlib's file back end; no display is needed."""
from __future__ import annotations
from pathlib import Path
def write_plot(path,title,timeline,scores): pass
