//! HTML turned into text that reads well enough: one pass over the page, without a tree, so that nesting and size cost nothing but time
//! in proportion.

use agent_security::network::WebUrl;

/// Elements whose content is not read.
const SKIPPED: [&str; 9] = [
    "script", "style", "noscript", "template", "svg", "iframe", "object", "canvas", "select",
];

/// Bytes of an address behind a link; a longer one says nothing to a reader.
const MAX_LINK_BYTES: usize = 300;

/// Links that have begun and not ended.
const MAX_OPEN_LINKS: usize = 16;

/// Bytes of a picture's description.
const MAX_ALT_BYTES: usize = 200;

/// Bytes in which an entity ends.
const MAX_ENTITY_BYTES: usize = 12;

const ENTITIES: [(&str, &str); 26] = [
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", " "),
    ("copy", "©"),
    ("reg", "®"),
    ("trade", "™"),
    ("hellip", "…"),
    ("mdash", "—"),
    ("ndash", "–"),
    ("lsquo", "‘"),
    ("rsquo", "’"),
    ("ldquo", "“"),
    ("rdquo", "”"),
    ("laquo", "«"),
    ("raquo", "»"),
    ("bull", "•"),
    ("middot", "·"),
    ("euro", "€"),
    ("pound", "£"),
    ("times", "×"),
    ("deg", "°"),
    ("rarr", "→"),
    ("larr", "←"),
];

/// Whether a page of unknown type is HTML.
pub(super) fn looks_like_html(text: &str) -> bool {
    let start = text.trim_start().get(..9).unwrap_or_default();
    start.eq_ignore_ascii_case("<!doctype") || start.to_ascii_lowercase().starts_with("<html")
}

/// Without what a reader would not see but a model would: control characters, and those that hide text or turn its direction.
pub(super) fn visible(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(
                c,
                '\u{AD}' | '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
                    | '\u{FE00}'..='\u{FE0F}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}'
            )
    };
    text.chars().filter(|c| !hidden(*c)).collect()
}

/// The text of a page at `base`.
pub(super) fn text(html: &str, base: &WebUrl) -> String {
    let mut out = Out::default();
    let mut links: Vec<(String, usize)> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        out.text(&rest[..at]);
        rest = &rest[at..];
        let Some((tag, behind)) = Tag::read(rest) else {
            rest = match markup_end(rest) {
                Some(end) => &rest[end..],
                None => {
                    out.text("<");
                    &rest[1..]
                }
            };
            continue;
        };
        rest = behind;
        if !tag.closes && SKIPPED.contains(&tag.name.as_str()) && !tag.is_empty_element {
            rest = after_end_of(rest, &tag.name);
            continue;
        }
        match (tag.name.as_str(), tag.closes) {
            ("a", false) => {
                if let Some(link) = tag.attribute("href").and_then(|href| target(base, &href)) {
                    // Links don't nest, so only a page that never ends them comes here often.
                    links.truncate(MAX_OPEN_LINKS - 1);
                    links.push((link, out.text.len()));
                }
            }
            ("a", true) => {
                if let Some((link, begun)) = links.pop()
                    && out
                        .text
                        .get(begun..)
                        .is_some_and(|label| !label.trim().is_empty() && label.trim() != link)
                {
                    out.word(&format!(" ({link})"));
                }
            }
            ("img", false) => {
                if let Some(alt) = tag
                    .attribute("alt")
                    .filter(|alt| !alt.trim().is_empty() && alt.len() <= MAX_ALT_BYTES)
                {
                    out.word(&format!("[image: {}]", alt.trim()));
                }
            }
            (name, closes) => out.layout(name, closes),
        }
    }
    out.text(rest);
    out.text
}

/// The end of a comment, a declaration or an instruction; `None` when `<` is just a character.
fn markup_end(rest: &str) -> Option<usize> {
    let end = |text: &str| rest.find(text).map_or(rest.len(), |at| at + text.len());
    if rest.starts_with("<!--") {
        Some(end("-->"))
    } else if rest.starts_with("<!") || rest.starts_with("<?") || rest.starts_with("</") {
        Some(end(">"))
    } else {
        None
    }
}

/// Behind `</name…>`; the end of the page where there is none, as browsers do.
fn after_end_of<'a>(rest: &'a str, name: &str) -> &'a str {
    let bytes = rest.as_bytes();
    let mut from = 0;
    while let Some(at) = rest[from..].find("</").map(|at| from + at) {
        let named = bytes.get(at + 2..at + 2 + name.len());
        if named.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes())) {
            return rest[at..].find('>').map_or("", |end| &rest[at + end + 1..]);
        }
        from = at + 2;
    }
    ""
}

/// The address of a link worth showing.
fn target(base: &WebUrl, href: &str) -> Option<String> {
    let href = href.trim();
    if href.is_empty() || href.starts_with('#') {
        return None;
    }
    let url = base.redirect(href).ok()?;
    (url.as_str().len() <= MAX_LINK_BYTES).then(|| url.to_string())
}

struct Tag<'a> {
    name: String,
    closes: bool,
    is_empty_element: bool,
    attributes: &'a str,
}

impl<'a> Tag<'a> {
    /// The tag that `rest` begins with, and what is behind it. A tag without an end reaches to the end of the page.
    fn read(rest: &'a str) -> Option<(Self, &'a str)> {
        let inside = &rest[1..];
        let closes = inside.starts_with('/');
        let inside = if closes { &inside[1..] } else { inside };
        if !inside.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let name_end = inside
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'))
            .unwrap_or(inside.len());
        let end = tag_end(&inside[name_end..]) + name_end;
        let attributes = &inside[name_end..end];
        let tag = Tag {
            name: inside[..name_end].to_ascii_lowercase(),
            closes,
            is_empty_element: attributes.ends_with('/'),
            attributes,
        };
        Some((tag, inside.get(end + 1..).unwrap_or_default()))
    }

    fn attribute(&self, wanted: &str) -> Option<String> {
        let mut rest = self.attributes;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if rest.is_empty() {
                return None;
            }
            let name_end = rest
                .char_indices()
                .find(|(at, c)| c.is_ascii_whitespace() || *c == '/' || (*c == '=' && *at > 0))
                .map_or(rest.len(), |(at, _)| at);
            let name = &rest[..name_end];
            rest = rest[name_end..].trim_start();
            let mut value = "";
            if let Some(behind) = rest.strip_prefix('=') {
                (value, rest) = attribute_value(behind.trim_start());
            }
            if name.eq_ignore_ascii_case(wanted) {
                return Some(decoded(value));
            }
        }
    }
}

fn attribute_value(rest: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inside) = rest.strip_prefix(quote) {
            return inside.split_once(quote).unwrap_or((inside, ""));
        }
    }
    let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
    rest.split_at(end)
}

/// Where the tag's `>` is, past quoted values.
fn tag_end(rest: &str) -> usize {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in rest.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '>' => return at,
            // A quote counts where a value begins; elsewhere it is a slip.
            None if matches!(c, '"' | '\'') && before == '=' => quote = Some(c),
            None => {}
        }
        if !c.is_ascii_whitespace() {
            before = c;
        }
    }
    rest.len()
}

#[derive(Default)]
struct Out {
    text: String,
    /// Depth of `pre`.
    verbatim: usize,
    /// White space was read and not yet written.
    gap: bool,
}

impl Out {
    fn text(&mut self, raw: &str) {
        if raw.is_empty() {
            return;
        }
        let text = decoded(raw);
        if self.verbatim > 0 {
            self.text.push_str(&text);
            return;
        }
        self.gap |= text.starts_with(char::is_whitespace);
        for word in text.split_whitespace() {
            self.word(word);
            self.gap = true;
        }
        self.gap = text.ends_with(char::is_whitespace);
    }

    fn word(&mut self, word: &str) {
        if self.gap && !self.text.is_empty() && !self.text.ends_with(['\n', ' ']) {
            self.text.push(' ');
        }
        self.gap = false;
        self.text.push_str(word);
    }

    /// At least `lines` line ends.
    fn lines(&mut self, lines: usize) {
        self.gap = false;
        // No more are looked at than matter: a page of nothing but line ends would be counted over and over.
        let there = self
            .text
            .bytes()
            .rev()
            .take(lines)
            .take_while(|byte| *byte == b'\n')
            .count();
        if !self.text.is_empty() {
            (there..lines).for_each(|_| self.text.push('\n'));
        }
    }

    fn layout(&mut self, name: &str, closes: bool) {
        match name {
            "br" => self.text.push('\n'),
            "hr" => {
                self.lines(2);
                self.text.push_str("---\n\n");
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.lines(2);
                if !closes {
                    let level = usize::from(name.as_bytes()[1] - b'0');
                    self.text.push_str(&"#".repeat(level));
                    self.text.push(' ');
                }
            }
            "li" => {
                self.lines(1);
                if !closes {
                    self.text.push_str("- ");
                }
            }
            "pre" => {
                self.lines(2);
                self.verbatim = if closes {
                    self.verbatim.saturating_sub(1)
                } else {
                    self.verbatim + 1
                };
            }
            "td" | "th" if closes => {
                self.word(" |");
                self.gap = true;
            }
            "tr" | "dt" | "dd" | "div" | "option" | "figcaption" | "summary" | "label" | "button"
            | "caption" => self.lines(1),
            "p" | "title" | "section" | "article" | "header" | "footer" | "main" | "nav" | "aside" | "ul"
            | "ol" | "dl" | "table" | "blockquote" | "form" | "figure" | "details" | "body" | "fieldset" => {
                self.lines(2)
            }
            _ => {}
        }
    }
}

fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(MAX_ENTITY_BYTES).position(|byte| byte == b';');
        match end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
            Some((c, end)) => {
                out.push_str(&c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<String> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).map(String::from);
    }
    let (_, text) = ENTITIES.iter().find(|(known, _)| *known == name)?;
    Some((*text).to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn read(html: &str) -> String {
        text(html, &WebUrl::parse("https://example.com/a/b").unwrap())
            .trim()
            .to_owned()
    }

    #[test]
    fn a_page_reads_well() {
        let html = r#"<!DOCTYPE html><html><head><title>The  title</title><style>p { color: red }</style>
            <script>if (a < b) { alert("<p>no</p>") }</script></head>
            <body class=x><!-- a comment > here --><h1>Head&shy;ing &amp; more</h1>
            <p>One <b>bold</b> word,<br>and a <a href="../c?d=1&amp;e=2">link</a>.</p>
            <ul><li>first</li><li>second &lt;x&gt;</li></ul>
            <pre>  kept
   as is</pre>
            <table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
            <img src=x alt="a picture"><p>5 < 6 &#8364; &#x20AC; &unknown; &</p></body></html>"#;
        let expected = "The title\n\n# Head&shy;ing & more\n\nOne bold word,\nand a link (https://example.com/c?d=1&e=2).\n\n- first\n- second <x>\n\n  kept\n   as is\n\na | b |\n1 | 2 |\n\n[image: a picture]\n\n5 < 6 € € &unknown; &";
        assert_eq!(read(html), expected);
    }

    #[test]
    fn odd_pages_are_read_without_harm() {
        let table = [
            ("", ""),
            ("just text", "just text"),
            ("<", "<"),
            ("a <b", "a"),
            ("<script>never ends", ""),
            ("<SCRIPT>x</ScRiPt >after", "after"),
            ("<!-- never ends", ""),
            ("</", ""),
            ("<a href='x>y'>link</a>", "link (https://example.com/a/x%3Ey)"),
            ("<a href=javascript:alert(1)>link</a>", "link"),
            ("<a href=#top>link</a>", "link"),
            ("<a href=/x></a>", ""),
            ("<a>no target</a></a>", "no target"),
            ("<p title=\"a>b\">text</p>", "text"),
            ("<p title=unclosed\">text</p>", "text"),
            ("</pre></pre>text", "text"),
            ("a<br/>b", "a\nb"),
        ];
        for (html, expected) in table {
            assert_eq!(read(html), expected, "{html:?}");
        }
    }

    #[test]
    fn hidden_characters_are_taken_out() {
        assert_eq!(
            visible("a\u{200B}b\u{E0041}c\u{202E}d\u{7}e\n\tf\u{FEFF}"),
            "abcde\n\tf"
        );
        assert_eq!(visible("漢字 é 🦀"), "漢字 é 🦀");
    }

    #[test]
    fn hostile_pages_cost_time_in_proportion() {
        let size = 1 << 20;
        let hostile = [
            "<",
            "<a ",
            "<a href=\"",
            "<script>",
            "</script",
            "<!--",
            "&",
            "&#",
            "<p><b>",
            "<a href=x>",
            "<pre>\n",
            "<a =",
            "<li>",
        ];
        for piece in hostile {
            let html = piece.repeat(size / piece.len());
            let begun = Instant::now();
            let out = read(&html);
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{piece:?} took {:?}",
                begun.elapsed()
            );
            assert!(out.len() <= 2 * size, "{piece:?} became {} bytes", out.len());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(html in any::<String>()) {
            read(&html);
        }

        #[test]
        fn nearly_html_is_read(html in r#"(<[/!]?(a|p|pre|script|b|img|li|h1)?[ ="'a-zä/]{0,12}>?|&[a-z#0-9]{0,8};?|[ a-zä\n]{0,6}){0,20}"#) {
            read(&html);
        }
    }
}
