"""Without a mouse: Tab reaches the navigation, the controls and the upload; Enter and Space act; the focus is seen."""

from typing import Any

from playwright.sync_api import Page, expect

from browser.driver import main, open_page, settle
from browser.photos import portrait
from browser.server import Server
from browser.test_explain import DROP
from browser.widgets import metric, upload

_NAME = """() => {
  const one = document.activeElement;
  const words = (one.labels?.[0] ?? one).cloneNode(true);
  words.querySelectorAll('[data-testid="stIconMaterial"]').forEach(icon => icon.remove());
  return one.getAttribute('aria-label') || words.textContent.trim();
}"""
_FOCUS = """async () => {
  const one = document.activeElement;
  const shown = ['outlineStyle', 'outlineWidth', 'outlineColor', 'boxShadow', 'backgroundColor', 'borderColor'];
  const look = element => shown.map(name => getComputedStyle(element)[name]).join();
  const chain = [];  // a ring is drawn by the element, by a part of it, or by the frame around it
  for (let up = one, n = 0; up && n < 5; up = up.parentElement, n++) chain.push(up);
  const all = [...chain, ...one.querySelectorAll('*')].slice(0, 40);
  const drawn = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  await drawn();
  const focused = all.map(look);
  one.blur();
  await drawn();
  const plain = all.map(look);
  one.focus({preventScroll: true});
  return {
    part: one.dataset.testid ?? one.tagName.toLowerCase(),
    seen: focused.some((value, at) => value !== plain[at]),
  };
}"""


def tab_through(page: Page, most: int) -> list[dict[str, Any]]:
    """What Tab reaches, one after the other, until it comes round."""
    found: list[dict[str, Any]] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        found.append({"name": page.evaluate(_NAME), **page.evaluate(_FOCUS)})
        if found[-1]["part"] == "body":
            break
    return found


def tab_to(page: Page, name: str, most: int = 60) -> None:
    """Press Tab until something of this name has the focus.

    Raises
    ------
    AssertionError
        If it is not reached.
    """
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(_NAME) == name:
            return
    raise AssertionError(f"Tab does not reach {name!r}")


def test_tab_reaches_navigation_controls_and_upload_and_shows_where_it_is(page: Page, study: Server) -> None:
    open_page(page, study, "Explain")
    found = tab_through(page, 45)
    names = [one["name"] for one in found]
    for expected in ("Home", "Datasets", "Results", "Explain", "Upload", "Portrait", "A whole folder", "More options"):
        assert any(name.startswith(expected) for name in names), f"Tab does not reach {expected}: {names}"
    # What scrolls takes the focus for the arrow keys, and browsers draw no ring around it.
    unseen = [one["name"] for one in found if not one["seen"] and one["part"] not in ("body", "stMain")]
    assert not unseen, "the focus cannot be seen on these"


def test_a_photo_is_judged_without_a_mouse(page: Page, study: Server) -> None:
    open_page(page, study, "Home")
    tab_to(page, "Explain")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Explain a photo", level=1)).to_be_visible()
    settle(page)
    field = page.get_by_role("region", name=DROP).locator("input[type=file]")
    field.evaluate("one => one.addEventListener('click', asked => { asked.preventDefault(); window.asked = true; })")
    tab_to(page, "Upload")
    page.keyboard.press("Enter")
    page.wait_for_function("window.asked")  # the system's own window to choose files would open now
    upload(page, [portrait()], DROP)
    expect(main(page).locator(".chip").get_by_text("Without mask", exact=True)).to_be_visible()


def test_space_turns_a_filter_off_and_arrows_change_the_view(page: Page, study: Server) -> None:
    open_page(page, study, "Quality")
    before = metric(page, "Removed").inner_text()
    page.get_by_role("switch", name="Duplicates").focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("switch", name="Duplicates")).not_to_be_checked()
    expect(metric(page, "Removed")).not_to_have_text(before)
    settle(page)
    page.get_by_role("radio", name="Removals").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(main(page).get_by_text("Joined: one is removed")).to_be_visible()


def test_a_face_opens_and_closes_without_a_mouse(page: Page, study: Server) -> None:
    open_page(page, study, "Datasets")
    face = main(page).get_by_role("button", name="Open: sample-group · with mask").first
    face.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Face")
    expect(dialog.get_by_text("1 of 139", exact=True)).to_be_visible()
    settle(page)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
