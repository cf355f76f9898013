"""The app as a person meets it: a real Chromium clicks, types, uploads and reads.

``make test-browser`` sets all of it up and runs it; ``make test`` leaves it out. It takes some minutes.

- Chromium is the system's (Debian: ``apt-get install chromium``). `MASKDET_CHROMIUM` names another one. Playwright
  downloads none.
- `server` starts ``streamlit run app.py`` on a free port with a workspace of its own. `conftest` has a server for each
  state of a workspace; tests that change a workspace have their own.
- `visit` watches a visitor's page. Whatever a test looks at, its end asserts that the console was free of errors, that
  no script failed, and that no request was made to another host. The log of a server is free of tracebacks.
- `driver` has the few ways to work Streamlit's widgets, each in one place. ``settle`` waits until the page is done;
  nothing sleeps for a fixed time.
- Where a test fails, its screenshot and the server's log stay in pytest's temporary folder; the report names them.

Tests assert what a person reads, not how the page is built. Photos are drawn, or NASA's astronaut.
"""
