"""Built-in data: street scenes drawn by program in the Cityscapes layout, for demonstrations and tests."""

from sparsekit.demo_data.dataset import DemoSettings, write_demo_data
from sparsekit.demo_data.scene import Scene, draw_scene

__all__ = ["DemoSettings", "Scene", "draw_scene", "write_demo_data"]
