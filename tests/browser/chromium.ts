/** The browser of this machine for tests, or a line that says why they are left out. */

import { CHROMIUM } from "../../lib/browser/chromium.ts";

export { CHROMIUM, ROOT, serveBrowser, visit } from "../../lib/browser/chromium.ts";

if (!CHROMIUM) console.log("skipped: no Chromium (Debian: apt-get install chromium)");
