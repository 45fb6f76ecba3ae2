/** What a page that this program wrote may load and run. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";

/** Fails unless the page's policy lets its own script run and nothing else be run, loaded or sent. */
export function assertOwnPolicy(html: string): void {
  const policy = html.match(/<meta http-equiv="Content-Security-Policy" content="([^"]*)">/)?.[1];
  assert.ok(policy, "no policy");
  const scripts = [...html.matchAll(/<script>([^]*?)<\/script>/g)].map(([, text]) => text);
  const hashes = scripts.map((text) =>
    `'sha256-${createHash("sha256").update(text).digest("base64")}'`
  );
  assert.deepEqual(policy.split("; ").sort(), [
    "base-uri 'none'",
    "default-src 'none'",
    "form-action 'none'",
    "img-src data:",
    ...hashes.length ? [`script-src ${hashes.join(" ")}`] : [],
    "style-src 'unsafe-inline'",
  ]);
  assert.ok(html.indexOf(policy) < html.search(/<(script|style|title)/), "it stands first");
  assert.doesNotMatch(html, /<[a-z][^>]*\son[a-z]+=/i, "a handler in an attribute would not run");
}
