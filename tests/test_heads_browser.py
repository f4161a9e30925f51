"""The page with a network that puts out a number, and one with a single sigmoid, used as a visitor uses it."""

import pytest

from explainers.ui import shelf as shelves
from tests.test_browser import browser, open_page, pytestmark, url  # noqa: F401 - fixtures
from tests.test_heads_page import NETWORKS


@pytest.mark.parametrize(("name", "said"), [("number", "years"), ("one sigmoid", "%")])
def test_one_output_has_its_number_and_no_rival(open_page, url, name, said):  # noqa: F811
    open_page("scene=test:1")  # whose shelf is made by then, among those of other tests
    for shelf in shelves._shelves.values():
        shelf.networks.put(f"timm:{name.split()[-1]}", NETWORKS[name]())  # as if it were there already
    page = open_page(f"model=timm:{name.split()[-1]}&scene=test:1&method=grad_cam")
    assert page.locator(".rail .bars, .bars").first.inner_text().strip().endswith(said)
    others = page.locator(".others").first.inner_text()
    assert "Rather than" not in others
    assert "null" not in others
    assert "undefined" not in page.locator("body").inner_text()
    page.evaluate("sightglass.show('augment')")
    page.wait_for_selector(".augment .variant:nth-child(15)")
    lead = page.locator(".augment .lead").first.inner_text()
    assert ("The number moves by" in lead) == (name == "number")
    assert said in page.locator(".augment .variant b").first.inner_text()
    page.click(".augment .inner button:nth-child(2)")
    page.wait_for_selector(".augment .chart .knob")
    assert ("answer" in page.locator(".augment .lead").nth(1).inner_text()) == (name != "number")
