"""A page as headless Chromium shows it."""

import html
import json
import re
import shutil
import subprocess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = ["--headless", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"]
OPTIONS += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
# First in the page: what goes wrong, and when it has loaded what it looks like.
WATCH = """<script>
const probe = { errors: [], violations: [] };
addEventListener("error", (event) => probe.errors.push(event.message));
addEventListener("unhandledrejection", (event) => probe.errors.push(String(event.reason)));
document.addEventListener("securitypolicyviolation", (e) => probe.violations.push(e.blockedURI));
console.error = (...words) => probe.errors.push(words.join(" "));
// Everything is drawn, in view or not.
window.IntersectionObserver = class {
  constructor(see) { this.see = see; }
  unobserve() {}
  observe(target) {
    addEventListener("load", () => setTimeout(() => this.see([{ isIntersecting: true, target }])));
  }
};
addEventListener("load", () => {
  probe.loaded = performance.now();
  document.querySelectorAll("details").forEach((part) => (part.open = true));
  setTimeout(() => {
    ACTION
    probe.width = document.documentElement.scrollWidth;
    probe.window = innerWidth;
    probe.places = document.querySelectorAll(".chart, #cloud").length;
    probe.drawn = document.querySelectorAll(".js-plotly-plot").length;
    probe.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
    probe.requests = probe.requests.filter((name) => !/^(data|blob):/.test(name));
    parent.postMessage(JSON.stringify(probe), "*");
  }, 3000);
});
</script>"""
# Chromium's own windows are not narrower than 500 px: a frame is.
FRAME = """<!doctype html><body style="margin: 0"><script>
addEventListener("message", ({ data }) => {
  const note = document.createElement("pre");
  note.className = "probe";
  note.textContent = data;
  document.body.append(note);
});
</script><iframe src="NAME" style="border: 0; width: WIDTHpx; height: HEIGHTpx"></iframe>"""


def browse(page, width, height=900, action="", seconds=150):
    """Open a page, unfold and draw all, and return what was seen.

    Args:
        page: The HTML file; a copy with a script that watches is written beside it.
        width: Of the frame, px.
        height: Of the frame, px.
        action: JavaScript that may add to ``probe``.
        seconds: Time limit.
    """
    text = page.read_text(encoding="utf-8")
    watched = page.with_name("watched.html")
    script = WATCH.replace("ACTION", action)
    watched.write_text(text.replace('<meta charset="utf-8">', f'<meta charset="utf-8">{script}', 1))
    frame = page.with_name("frame.html")
    sizes = {"NAME": watched.name, "WIDTH": str(width), "HEIGHT": str(height)}
    content = FRAME
    for word, value in sizes.items():
        content = content.replace(word, value)
    frame.write_text(content)
    command = [
        CHROMIUM,
        *OPTIONS,
        f"--window-size={max(width, 500)},{height}",
        "--virtual-time-budget=20000",
    ]
    command += [f"--user-data-dir={page.parent / 'profile'}", "--dump-dom", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=seconds, check=True)
    dom = done.stdout.decode("utf-8")
    return json.loads(html.unescape(re.search(r'<pre class="probe">(.*?)</pre>', dom)[1]))
