"""One JupyterLab for all browser tests, one Chromium for each file of them."""

import pytest
from labserver import CHROMIUM, PROJECTOR, Lab, chromium, lab_server


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Where JupyterLab finds its notebooks: copies, since it saves them and leaves checkpoints beside them."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="session")
def address(folder):
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt install chromium)")
    pytest.importorskip("playwright", reason="the package playwright is not installed")
    with lab_server(folder) as address:
        yield address


@pytest.fixture(scope="module")  # not longer: its event loop would stand in the way of the notebooks' own tests
def browser(address):
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def lab(address, browser):
    lab = Lab(browser.new_page(viewport=PROJECTOR), address)
    yield lab
    lab.close()
