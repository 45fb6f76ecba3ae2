/** Visits pages with Playwright. Arguments: job and result, JSON files. chromium.ts starts it. */

import { chromium } from "playwright-core";
import { join } from "node:path";
import type { Visit, Visited } from "./chromium.ts";

const FLAGS = [
  "--no-sandbox", // tests run as root
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const PATIENCE_MS = 120_000;

async function visitOne(visit: Visit, executablePath: string, profile: string): Promise<Visited> {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    viewport: { width: 1200, height: 1000 },
    args: FLAGS,
  });
  try {
    const page = context.pages()[0];
    page.setDefaultTimeout(visit.patience ?? PATIENCE_MS);
    const requests: string[] = [], errors: string[] = [];
    page.on("request", (request) => requests.push(request.url()));
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    if (visit.before) await page.addInitScript(visit.before);
    await page.goto(visit.url);
    for (const step of visit.steps) {
      if ("fill" in step) {
        const isSelect = await page.locator(step.fill).evaluate((e) => e.tagName === "SELECT");
        if (isSelect) await page.selectOption(step.fill, step.with);
        else await page.fill(step.fill, step.with);
      } else if ("click" in step) await page.click(step.click);
      else if ("press" in step) await page.press(step.in, step.press);
      else if ("wait" in step) await page.locator(step.wait).waitFor();
      else if ("folder" in step) await page.setInputFiles(step.folder, step.from);
      else {
        const [download] = await Promise.all([
          page.waitForEvent("download"),
          page.click(step.download),
        ]);
        await download.saveAs(step.to);
      }
    }
    const texts: Record<string, string> = {}, counts: Record<string, number> = {};
    for (const [name, selector] of Object.entries(visit.texts)) {
      texts[name] = await page.locator(selector).first().textContent() ?? "";
    }
    for (const [name, selector] of Object.entries(visit.counts ?? {})) {
      counts[name] = await page.locator(selector).count();
    }
    if (visit.screenshot) await page.screenshot({ path: visit.screenshot, fullPage: true });
    return { texts, counts, requests, errors };
  } finally {
    await context.close();
  }
}

const [job, result] = Deno.args;
const { executable, folder, visits } = JSON.parse(await Deno.readTextFile(job));
const visited: Visited[] = [];
for (const [i, visit] of (visits as Visit[]).entries()) {
  visited.push(await visitOne(visit, executable, join(folder, `profile-${i}`)));
}
await Deno.writeTextFile(result, JSON.stringify(visited));
Deno.exit(0); // Playwright leaves handles open
