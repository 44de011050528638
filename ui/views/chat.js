// One session: what was said in it, and what happens in it now.
import { useEffect, useRef, useState } from "../vendor/hooks.js";
import * as api from "../api.js";
import { Item } from "../components/items.js";
import { html } from "../html.js";
import { after, fromMessages } from "../transcript.js";

/** How near to its end, in pixels, a conversation stays there while it grows. */
const NEAR_END = 80;

const KEYS = { y: "allow_once", a: "allow_for_session", n: "deny" };

/** @param {{id: string, changed: () => void, failed: (error: unknown) => void}} props */
export function Chat({ id, changed, failed }) {
  const [session, setSession] = useState(/** @type {any} */ (null));
  const [items, setItems] = useState(/** @type {import("../transcript.js").Item[]} */ ([]));
  const [turn, setTurn] = useState("");
  const [broken, setBroken] = useState("");
  const [draft, setDraft] = useState("");
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const atEnd = useRef(true);

  const load = async () => {
    const found = await api.getSession(id);
    const messages = found.messages > 0 ? await api.latestMessages(id, found.messages) : [];
    setSession(found);
    setItems(fromMessages(messages));
    setTurn(found.active_turn ?? "");
  };

  useEffect(() => {
    atEnd.current = true;
    load().catch(failed);
  }, [id]);

  useEffect(() => {
    if (!turn) return undefined;
    const stop = new AbortController();
    let waiting = /** @type {any[]} */ ([]);
    let frame = 0;
    // Any number of events are one drawing a frame.
    const draw = () => {
      frame = 0;
      const events = waiting;
      waiting = [];
      setItems((shown) => events.reduce((all, event) => after(all, event, turn), shown));
    };
    const told = (/** @type {any} */ event) => {
      waiting.push(event);
      frame ||= requestAnimationFrame(draw);
    };
    const done = () => { setTurn(""); setBroken(""); changed(); };
    api.follow(id, turn, told, setBroken, stop.signal)
      .then(async () => {
        if (stop.signal.aborted) return;
        if (waiting.length) draw();
        done();
        setSession(await api.getSession(id));
      })
      .catch((error) => { done(); failed(error); load().catch(failed); });
    return () => { stop.abort(); cancelAnimationFrame(frame); };
  }, [id, turn]);

  useEffect(() => {
    if (atEnd.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [items]);

  const decide = (/** @type {string} */ approval, /** @type {string} */ decision) => api.decide(approval, decision).catch(failed);

  useEffect(() => {
    const pressed = (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest("textarea, input")) return;
      const decision = KEYS[/** @type {"y"} */ (event.key)];
      const open = items.find((item) => item.approval)?.approval;
      if (decision && open) decide(open.id, decision);
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [items]);

  const send = async () => {
    const text = draft.trim();
    if (!text) return;
    try {
      if (turn) {
        await api.steer(id, turn, text);
      } else {
        const started = await api.startTurn(id, text);
        setItems((shown) => [...shown, { kind: "user", key: started.turn_id, text }]);
        setTurn(started.turn_id);
        changed();
      }
      atEnd.current = true;
      setDraft("");
    } catch (error) {
      failed(error);
    }
  };
  const typed = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  };
  const scrolled = () => {
    const { scrollTop, clientHeight, scrollHeight } = /** @type {HTMLElement} */ (list.current);
    atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_END;
  };

  if (!session) return html`<main class="empty" aria-busy="true"></main>`;
  const dollars = session.cost.usd;
  return html`<main class="chat">
    <header>
      <h1>${session.title || "New session"}</h1>
      <small>${session.workspace} · ${session.model} · $${dollars.toFixed(4)}</small>
    </header>
    <div class="items" ref=${list} onScroll=${scrolled} role="log" tabindex="0" aria-label="Conversation">
      ${items.map((item) => html`<${Item} key=${item.key} item=${item} decide=${decide} />`)}
      ${turn && !items.some((item) => item.approval) && html`<p class="working" role="status">${broken || "Working…"}</p>`}
    </div>
    <form class="prompt" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); send(); }}>
      <textarea aria-label="What to do" rows="2" value=${draft} onKeyDown=${typed} onInput=${(/** @type {any} */ event) => setDraft(event.target.value)}
        placeholder=${turn ? "Tell it something while it works" : "What is to be done? Enter sends, Shift+Enter begins a line"}></textarea>
      ${turn && html`<button type="button" class="deny" onClick=${() => api.cancel(id, turn).catch(failed)}>Stop</button>`}
      <button type="submit">${turn ? "Steer" : "Send"}</button>
    </form>
  </main>`;
}
