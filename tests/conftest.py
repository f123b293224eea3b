"""What every test runs under: the thread setting of the course, nothing of the user's own, a fixed seed."""

import os
import tempfile

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported, here and in the notebooks' kernels
os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # "python3" is this Python
os.environ["IPYTHONDIR"] = tempfile.mkdtemp(prefix="ipython-")  # no start-up file of the user's runs in a kernel

import hypothesis
import pytest
import torch

torch.set_num_threads(1)
hypothesis.settings.register_profile("course", deadline=None, derandomize=True)
hypothesis.settings.load_profile("course")


@pytest.fixture(autouse=True)
def seed():
    """A test's random numbers do not depend on which tests ran before it."""
    torch.manual_seed(0)
