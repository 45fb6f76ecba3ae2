/** What the pages that this program writes have in common: text made safe, and what they may load. */

import { createHash } from "node:crypto";

/** Text that stands for itself in HTML, in attributes too. */
export const escapeHtml = (text: unknown): string =>
  String(text).replace(/[&<>"']/g, (c) => NAMES[c]);

const NAMES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * The element that keeps a page to itself: pictures in it and its own style are shown, its own script
 * runs, nothing is loaded from anywhere and nothing sent. Whatever a file name smuggled into the page
 * would not run either.
 *
 * @param script the text of the page's one inline script, as it stands between its tags.
 *
 * @example
 * `<head>${contentSecurityPolicy(SCRIPT)}</head><body><script>${SCRIPT}</script></body>`
 */
export function contentSecurityPolicy(script?: string): string {
  const hash = script && createHash("sha256").update(script).digest("base64");
  const rules = [
    "default-src 'none'",
    "img-src data:",
    "style-src 'unsafe-inline'",
    ...hash ? [`script-src 'sha256-${hash}'`] : [],
    "base-uri 'none'",
    "form-action 'none'",
  ];
  return `<meta http-equiv="Content-Security-Policy" content="${rules.join("; ")}">`;
}
