/** Hands files to browsers of this machine, and to no other. */

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
  readonly address: string;
  readonly finished: Promise<void>;
  close(): Promise<void>;
}

/**
 * Serves files by name, the page's own at `/`.
 *
 * @param port 0 takes one that is free.
 * @throws InputError where the port is taken.
 */
export function serve(files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>, port: number): Site {
  let own = port;
  const handler = (request: Request): Response => {
    // A site elsewhere can make its name point at 127.0.0.1; its name is then in the Host.
    const host = request.headers.get("host");
    if (host !== `${HOST}:${own}` && host !== `localhost:${own}`) {
      return new Response("not this host\n", { status: 403 });
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      return new Response("only GET\n", { status: 405, headers: { allow: "GET, HEAD" } });
    }
    const { pathname } = new URL(request.url);
    const name = pathname === "/" ? "index.html" : pathname.slice(1);
    const content = files.get(name);
    if (!content) return new Response("no such file\n", { status: 404 });
    const headers = {
      "content-type": TYPES[extname(name)] ?? "application/octet-stream",
      "content-length": String(content.length),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "cross-origin-resource-policy": "same-origin",
    };
    return new Response(request.method === "HEAD" ? null : content, { headers });
  };
  try {
    const server = Deno.serve({ hostname: HOST, port, onListen() {} }, handler);
    own = server.addr.port;
    return {
      address: `http://${HOST}:${own}/`,
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
