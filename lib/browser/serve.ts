/** Hands files to browsers of this machine, and to no other. */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { extname } from "node:path";
import { InputError } from "../errors.ts";

const HOST = "127.0.0.1";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
};

export interface Site {
  /** With the token that it answers to: who does not know it gets nothing. */
  readonly address: string;
  readonly finished: Promise<void>;
  close(): Promise<void>;
}

const digest = (text: string) => createHash("sha256").update(text).digest();

/**
 * Serves files by name, the page's own at `/TOKEN/`. Other users of the machine can reach the port but
 * do not know the token, which is new at every start.
 *
 * @param port 0 takes one that is free.
 * @throws InputError where the port is taken.
 */
export function serve(files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>, port: number): Site {
  let own = port;
  const token = randomBytes(16).toString("hex");
  const handler = (request: Request): Response => {
    // A site elsewhere can make its name point at 127.0.0.1; its name is then in the Host.
    const host = request.headers.get("host");
    if (host !== `${HOST}:${own}` && host !== `localhost:${own}`) {
      return new Response("not this host\n", { status: 403 });
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      return new Response("only GET\n", { status: 405, headers: { allow: "GET, HEAD" } });
    }
    const [, given = "", ...rest] = new URL(request.url).pathname.split("/");
    if (!timingSafeEqual(digest(given), digest(token))) {
      return new Response("open the address that ./run browser printed\n", { status: 403 });
    }
    const name = rest.join("/") || "index.html";
    const content = files.get(name);
    if (!content) return new Response("no such file\n", { status: 404 });
    const headers = {
      "content-type": TYPES[extname(name)] ?? "application/octet-stream",
      "content-length": String(content.length),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "cross-origin-resource-policy": "same-origin",
      // In a header, since a page's own policy cannot say who may frame it.
      "content-security-policy": "frame-ancestors 'none'",
      "referrer-policy": "no-referrer", // the token is in the address
    };
    return new Response(request.method === "HEAD" ? null : content, { headers });
  };
  try {
    const server = Deno.serve({ hostname: HOST, port, onListen() {} }, handler);
    own = server.addr.port;
    return {
      address: `http://${HOST}:${own}/${token}/`,
      finished: server.finished,
      close: () => server.shutdown(),
    };
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      throw new InputError(`--port ${port} is taken by another program`);
    }
    throw error;
  }
}
