// A phone agent in TypeScript over plain HTTP: the appointment line of a bicycle shop. No packages: Node 22.18 or later
// runs it as it stands.
//
//     BRIDGE_SECRET=... PORT=8090 node agent.ts
//
// The bridge posts what happened, and does what is answered. See docs/remote.md.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

type Event =
  | { type: "start"; seq: number; call_id: string; from: string; resumed: boolean }
  | { type: "turn"; seq: number; call_id: string; number: number; text: string }
  | { type: "digits"; seq: number; call_id: string; digits: string }
  | { type: "gathered"; seq: number; call_id: string; id: string; digits: string }
  | { type: "end"; seq: number; call_id: string; reason: string };

type Command =
  | { type: "say"; id?: string; text: string; barge_in?: "off" | "digits" | "speech" | "both" }
  | { type: "gather"; id: string; digits: number; text: string; timeout_s?: number }
  | { type: "transfer"; to: string }
  | { type: "stop" }
  | { type: "hang_up" };

const SECRET = process.env.BRIDGE_SECRET ?? "";
const MAX_BYTES = 256 * 1024;
const TOLERANCE_S = 300;

/** Whether `header` is the bridge's signature of `body`, and not too old. */
function isSigned(header: string, body: Buffer): boolean {
  const parts = header.split(",").map((part) => part.trim().split("=", 2));
  const time = parts.find(([name]) => name === "t")?.[1] ?? "";
  if (!SECRET || !/^\d{1,15}$/.test(time) || Math.abs(Date.now() / 1000 - Number(time)) > TOLERANCE_S) return false;
  const wanted = createHmac("sha256", SECRET).update(`${time}.`).update(body).digest();
  return parts.some(([name, value]) => {
    const given = Buffer.from(value ?? "", "hex");
    return name === "v1" && given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}

const SLOTS: Record<string, string> = { "1": "Tuesday at nine", "2": "Thursday at four" };
/** Calls that have what they came for. */
const booked = new Set<string>();
const ASK: Command = {
  type: "gather",
  id: "slot",
  digits: 1,
  text: "Press one for Tuesday at nine, two for Thursday at four.",
};

/** What to do about an event. */
function answer(event: Event): Command[] {
  switch (event.type) {
    case "start":
      return [{ type: "say", text: "Wheels and more, good day." }, ASK];
    case "gathered": {
      const slot = SLOTS[event.digits];
      if (!slot) return [{ type: "say", text: "That is no free time." }, ASK];
      booked.add(event.call_id);
      console.log(`booked ${slot} in call ${event.call_id}`);
      return [
        { type: "say", text: `See you on ${slot}. Goodbye!`, barge_in: "off" },
        { type: "hang_up" },
      ];
    }
    case "end":
      booked.delete(event.call_id);
      return [];
    case "turn": // who talks does not press: the question is put anew, or another one is answered
      if (booked.has(event.call_id)) return []; // `stop` would forget the goodbye
      return /person|human|somebody/i.test(event.text)
        ? [{ type: "stop" }, { type: "say", text: "I will connect you." }, { type: "transfer", to: "shop" }]
        : [{ type: "stop" }, ASK];
    default:
      return [];
  }
}

/** The body of a request; empty when it is too big to be one of the bridge's. */
async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    chunks.push(chunk);
    if ((size += chunk.length) > MAX_BYTES) return Buffer.alloc(0);
  }
  return Buffer.concat(chunks);
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await bodyOf(request);
  if (!isSigned(String(request.headers["x-bridge-signature"] ?? ""), body)) {
    response.writeHead(401).end();
    return;
  }
  const { events } = JSON.parse(body.toString()) as { events: Event[] };
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(events.flatMap(answer)));
}

const server = createServer((request, response) => {
  handle(request, response).catch(() => response.destroy());
});

server.listen(Number(process.env.PORT ?? 8090), process.env.HOST ?? "127.0.0.1", () => {
  console.log(`listening on port ${(server.address() as AddressInfo).port}`);
});
