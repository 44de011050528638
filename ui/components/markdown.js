// Text of the model as Markdown. Everything that it can hold passes the purifier: no script, no picture, no frame, no form.
import { useMemo } from "../vendor/hooks.js";
import { marked } from "../vendor/marked.js";
import DOMPurify from "../vendor/purify.js";
import { html } from "../html.js";

const ALLOWED = {
  ALLOWED_TAGS: ["a", "b", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "li", "ol", "p", "pre", "s",
    "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"],
  ALLOWED_ATTR: ["href", "title", "start"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^https?:/i,
};

DOMPurify.addHook("afterSanitizeAttributes", (/** @type {Element} */ node) => {
  if (node.tagName === "A") {
    node.setAttribute("rel", "noopener noreferrer");
    node.setAttribute("target", "_blank");
  }
});

/** @param {{text: string}} props */
export function Markdown({ text }) {
  const clean = useMemo(() => DOMPurify.sanitize(/** @type {string} */ (marked.parse(text, { gfm: true })), ALLOWED), [text]);
  return html`<div class="markdown" dangerouslySetInnerHTML=${{ __html: clean }} />`;
}
