// What a session's messages and a turn's events look like in the order in which they are shown. No part of it touches the page.

/** @typedef {{kind: string, key: string, [name: string]: any}} Item */

/** Characters of live output kept of one tool: a screen or two; the result follows. */
const MAX_LIVE = 20000;

let made = 0;

/** @param {any[]} messages @returns {Item[]} */
export function fromMessages(messages) {
  /** @type {Item[]} */
  const items = [];
  const tools = new Map();
  for (const { seq, role, content } of messages) {
    const blocks = typeof content === "string" ? [{ type: "text", text: content }] : content;
    blocks.forEach((/** @type {any} */ block, /** @type {number} */ index) => {
      const key = `${seq}.${index}`;
      if (block.type === "text") items.push({ kind: role, key, seq, text: block.text });
      else if (block.type === "thinking") items.push({ kind: "thinking", key, seq, text: block.thinking });
      else if (block.type === "tool_use") {
        const item = { kind: "tool", key: block.id, seq, name: block.name, summary: "", input: block.input, output: "", state: "no result" };
        tools.set(block.id, item);
        items.push(item);
      } else if (block.type === "tool_result") {
        const item = tools.get(block.tool_use_id);
        if (item) Object.assign(item, { output: text(block.content), state: block.is_error ? "failed" : "done" });
      }
    });
  }
  return items;
}

/** @param {any} content */
function text(content) {
  if (typeof content === "string") return content;
  return (content ?? []).map((/** @type {any} */ part) => part.text ?? `[${part.type}]`).join("\n");
}

/**
 * The items after one more event of turn `turn`. Items that change are made anew, so that only they are drawn again.
 * @param {Item[]} items @param {any} event @param {string} turn @returns {Item[]}
 */
export function after(items, event, turn) {
  const change = (/** @type {string} */ key, /** @type {(item: Item) => object} */ how) =>
    items.map((item) => (item.key === key ? { ...item, ...how(item) } : item));
  const add = (/** @type {Item} */ item) => [...items, item];
  const key = `event.${(made += 1)}`;
  const last = items[items.length - 1];
  switch (event.type) {
    case "text_delta":
    case "thinking_delta": {
      const kind = event.type === "text_delta" ? "assistant" : "thinking";
      if (last?.kind === kind && last.live) return [...items.slice(0, -1), { ...last, text: last.text + event.text }];
      return add({ kind, key, text: event.text, live: true });
    }
    // A page that comes late has the messages that the events from the first on tell of once more.
    case "message_stored":
      return items.some((item) => item.seq > event.seq) ? items.filter((item) => !(item.seq > event.seq)) : items;
    case "turn_started":
      return items.map((item) => (item.live ? { ...item, live: false } : item));
    case "turn_restarted":
      return [...items.filter((item) => !item.live), { kind: "note", key, text: `Asked again: ${event.reason}` }];
    case "tool_requested":
      return add({ kind: "tool", key: event.id, name: event.name, summary: event.summary, input: event.input, output: "", state: "waits" });
    case "approval_requested":
      return change(event.tool_use_id, () => ({ approval: { ...event, id: `${turn}.${event.approval_id}` } }));
    case "approval_resolved":
      return items.map((item) => (item.approval?.approval_id === event.approval_id ? { ...item, approval: null } : item));
    case "tool_started":
      return change(event.id, () => ({ state: "runs" }));
    case "tool_output":
      return change(event.id, (item) => ({ output: (item.output + event.text).slice(-MAX_LIVE) }));
    case "tool_finished":
      return change(event.id, () => ({ output: event.output, state: event.is_error ? "failed" : "done", ms: event.duration_ms, approval: null }));
    case "steered":
      return add({ kind: "user", key, text: event.text });
    case "retrying":
      return add({ kind: "note", key, text: `${event.reason}; asking again in ${Math.ceil(event.delay_ms / 1000)} s` });
    case "warning":
    case "events_lost":
      return add({ kind: "note", key, text: event.message });
    case "finished":
      return event.error ? add({ kind: "error", key, text: `${event.error.message}. ${event.error.advice}` }) : items;
    default:
      return items;
  }
}
