// The one file that talks to the daemon.

/** A refusal, in words for the person at the screen. */
export class Refused extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** @param {string} method @param {string} path @param {unknown} [body] @param {Record<string, string>} [headers] @param {AbortSignal} [signal] */
async function ask(method, path, body, headers = {}, signal) {
  const init = { method, headers: { ...headers }, signal, credentials: /** @type {const} */ ("same-origin") };
  if (body !== undefined) {
    init.headers["content-type"] = "application/json";
    Object.assign(init, { body: JSON.stringify(body) });
  }
  let answer;
  try {
    answer = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, "The daemon does not answer. Is it running? This page goes on when it does.");
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, problem.detail ?? `The daemon answered ${answer.status}.`);
}

const json = async (/** @type {string} */ method, /** @type {string} */ path, /** @type {unknown} */ body = undefined) => {
  const answer = await ask(method, path, body);
  return answer.status === 204 ? null : answer.json();
};

const sessions = "/api/v1/sessions";

export const login = (/** @type {string} */ secret) => ask("POST", "/login", undefined, { authorization: `Bearer ${secret}` });
export const listSessions = (/** @type {string} */ query) =>
  json("GET", `${sessions}?limit=100${query ? `&query=${encodeURIComponent(query)}` : ""}`);
export const getSession = (/** @type {string} */ id) => json("GET", `${sessions}/${id}`);
export const createSession = (/** @type {string} */ workspace) => json("POST", sessions, { workspace });
export const startTurn = (/** @type {string} */ id, /** @type {string} */ prompt) => json("POST", `${sessions}/${id}/turns`, { prompt });
export const steer = (/** @type {string} */ id, /** @type {string} */ turn, /** @type {string} */ text) =>
  json("POST", `${sessions}/${id}/turns/${turn}/steer`, { text });
export const cancel = (/** @type {string} */ id, /** @type {string} */ turn) => json("POST", `${sessions}/${id}/turns/${turn}/cancel`);
export const decide = (/** @type {string} */ approval, /** @type {string} */ decision) =>
  json("POST", `/api/v1/approvals/${approval}`, { decision });

/** The newest messages of a session: as many as one page of the API holds. @param {string} id @param {number} count */
export async function latestMessages(id, count) {
  const page = 500;
  const found = await json("GET", `${sessions}/${id}/messages?limit=${page}&first=${Math.max(1, count - page + 1)}`);
  let next = found.next_first;
  // A page is shorter than asked for when its messages are large.
  while (next && next <= count) {
    const more = await json("GET", `${sessions}/${id}/messages?limit=${page}&first=${next}`);
    found.messages.push(...more.messages);
    next = more.next_first;
  }
  return found.messages;
}

/** Between two attempts to reach the daemon again, in milliseconds. */
const RETRY_MS = 1000;

/**
 * Calls `told` with each event of a turn, and connects again when the connection breaks. Ends with the turn, or when the daemon does not know it any more.
 * @param {string} id @param {string} turn @param {(event: any) => void} told @param {(broken: string) => void} broken @param {AbortSignal} signal
 */
export async function follow(id, turn, told, broken, signal) {
  let seen = "";
  while (!signal.aborted) {
    try {
      const headers = seen ? { "last-event-id": seen } : {};
      const answer = await ask("GET", `${sessions}/${id}/turns/${turn}/events`, undefined, headers, signal);
      if (answer.status === 204) return;
      broken("");
      if (await read(answer, (event, number) => { seen = number || seen; told(event); }, signal)) return;
    } catch (error) {
      if (signal.aborted) return;
      // A daemon that started anew knows neither this browser nor this turn.
      if (error instanceof Refused && error.status >= 400 && error.status < 500 && error.status !== 429) throw error;
    }
    broken("The connection broke; connecting again.");
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** Whether the last event was read. @param {Response} answer @param {(event: any, number: string) => void} told @param {AbortSignal} signal */
async function read(answer, told, signal) {
  const reader = /** @type {ReadableStream} */ (answer.body).pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let finished = false;
  while (!signal.aborted) {
    const { done, value } = await reader.read();
    if (done) break;
    const frames = (rest + value).split("\n\n");
    rest = /** @type {string} */ (frames.pop());
    for (const frame of frames) {
      const data = /^data: (.*)$/m.exec(frame);
      if (!data) continue;
      const event = JSON.parse(data[1]);
      finished ||= event.type === "finished";
      told(event, /^id: (.*)$/m.exec(frame)?.[1] ?? "");
    }
  }
  reader.cancel().catch(() => {});
  return finished;
}
