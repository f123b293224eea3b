"""`pytest` runs what guards a first hour with the course; the later notebooks take minutes and are marked long."""

import pytest

FIRST = ("00_start_here", "01_forward_process", "02_noise_schedules")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.suffix == ".ipynb" and item.path.stem not in FIRST:
            item.add_marker(pytest.mark.long)
