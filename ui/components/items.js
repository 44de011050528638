// One thing in a conversation: what somebody said, a tool and what it asks for, a note.
import { html } from "../html.js";
import { Markdown } from "./markdown.js";

/** @param {{item: import("../transcript.js").Item, decide: (approval: string, decision: string) => void}} props */
export function Item({ item, decide }) {
  switch (item.kind) {
    case "user":
      return html`<article class="user" aria-label="You">${item.text}</article>`;
    case "assistant":
      return html`<article class="assistant" aria-label="Claude"><${Markdown} text=${item.text} /></article>`;
    case "thinking":
      return html`<details class="thinking"><summary>Thinking</summary><pre>${item.text}</pre></details>`;
    case "tool":
      return html`<${Tool} item=${item} decide=${decide} />`;
    default:
      return html`<p class=${item.kind === "error" ? "error" : "note"} role=${item.kind === "error" ? "alert" : undefined}>${item.text}</p>`;
  }
}

const DECISIONS = [["allow_once", "Allow once", "y"], ["allow_for_session", "Allow for this session", "a"], ["deny", "Deny", "n"]];

/** @param {{item: any, decide: (approval: string, decision: string) => void}} props */
function Tool({ item, decide }) {
  const { approval } = item;
  const head = item.summary || `${item.name} ${JSON.stringify(item.input)}`;
  const state = approval ? "asks" : item.state;
  return html`<section class="tool" data-state=${state}>
    <details open=${!!approval || state === "runs"}>
      <summary><span class="state">${state}</span> <code>${head}</code>${item.ms === undefined ? "" : html` <small>${(item.ms / 1000).toFixed(1)} s</small>`}</summary>
      ${item.output && html`<pre>${item.output}</pre>`}
    </details>
    ${approval && html`<div class="approval" role="group" aria-label="Consent">
      <p>${approval.reason}</p>
      ${approval.detail && html`<pre>${approval.detail}</pre>`}
      ${DECISIONS.map(([decision, label, key]) => html`<button key=${decision} class=${decision} onClick=${() => decide(approval.id, decision)}>${label} <kbd>${key}</kbd></button>`)}
    </div>`}
  </section>`;
}
