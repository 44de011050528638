//! Markdown as rows of the terminal, and where a streaming answer may be cut.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::styled::{Colour, Line, Style, columns};

/// The length of the part that later text can't change: everything up to the last blank line outside of a fenced block.
/// That part can be shown for good while the rest is still coming.
///
/// Whole lines alone decide: what has come of a line may still turn into something else (` `` ` into a fence).
pub(in crate::cli) fn finished_prefix(text: &str) -> usize {
    let mut finished = 0;
    let mut at = 0;
    let mut fence: Option<(char, usize)> = None;
    let mut in_list = false;
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let body = line.trim();
        at += line.len();
        match (fence, opening_fence(body)) {
            (None, Some(opened)) => fence = Some(opened),
            // A closing fence has nothing behind it (CommonMark 0.31, section 4.5).
            (Some((mark, length)), Some((closing, count)))
                if closing == mark && count >= length && body.len() == count =>
            {
                fence = None
            }
            (None, None) if body.is_empty() && !in_list => finished = at,
            _ => {}
        }
        if fence.is_none() && !body.is_empty() {
            // A list goes on over blank lines; it ends at a line that is neither indented nor an item.
            let is_item = body.starts_with(['-', '*', '+']) || body.starts_with(|c: char| c.is_ascii_digit());
            let was_in_list = in_list;
            in_list = is_item || (in_list && line.starts_with([' ', '\t']));
            if was_in_list && !in_list {
                finished = at - line.len();
            }
        }
    }
    finished
}

fn opening_fence(line: &str) -> Option<(char, usize)> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let count = line.chars().take_while(|&c| c == mark).count();
    (count >= 3).then_some((mark, count))
}

/// Renders Markdown as rows of at most `width` columns.
pub(in crate::cli) fn render(text: &str, width: usize) -> Vec<Line> {
    let mut renderer = Renderer {
        width,
        ..Renderer::default()
    };
    for event in Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        renderer.event(event);
    }
    renderer.flush();
    while renderer.rows.last().is_some_and(|row| row.0.is_empty()) {
        renderer.rows.pop();
    }
    renderer.rows
}

#[derive(Default)]
struct Renderer {
    width: usize,
    rows: Vec<Line>,
    line: Line,
    bold: usize,
    italic: usize,
    quote: usize,
    /// One entry a list that is open: the next number, or none for bullets.
    lists: Vec<Option<u64>>,
    heading: bool,
    code_block: bool,
    links: Vec<String>,
    table: Option<Vec<Vec<Line>>>,
}

impl Renderer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.code_block => self.code(&text),
            Event::Text(text) => self.push(&text),
            Event::Code(code) => self.line.push(&*code, Style::of(Colour::Cyan)),
            // Raw HTML is shown as it was written: a terminal has nothing better to do with it.
            Event::Html(text) | Event::InlineHtml(text) => self.push(text.trim_end_matches('\n')),
            Event::SoftBreak => self.push(" "),
            Event::HardBreak => self.flush(),
            Event::Rule => {
                self.flush();
                self.rows
                    .push(Line::styled("─".repeat(self.width.min(40)), Style::DIM));
                self.blank();
            }
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.flush();
                self.heading = true;
                if level == HeadingLevel::H1 {
                    self.blank();
                }
            }
            Tag::Strong => self.bold += 1,
            Tag::Emphasis => self.italic += 1,
            Tag::BlockQuote(_) => {
                self.flush();
                self.quote += 1;
            }
            Tag::List(first) => {
                self.flush();
                self.lists.push(first);
            }
            Tag::Item => {
                self.flush();
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "• ".to_owned(),
                };
                self.line.push(mark, Style::DIM);
            }
            Tag::CodeBlock(kind) => {
                self.flush();
                self.code_block = true;
                if let CodeBlockKind::Fenced(language) = kind
                    && !language.is_empty()
                {
                    self.rows.push(Line::styled(format!("  {language}"), Style::DIM));
                }
            }
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.links.push(dest_url.into_string())
            }
            Tag::Table(_) => {
                self.flush();
                self.table = Some(Vec::new());
            }
            Tag::TableHead | Tag::TableRow => self.table.iter_mut().for_each(|rows| rows.push(Vec::new())),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.flush();
                self.heading = false;
                self.blank();
            }
            TagEnd::Strong => self.bold = self.bold.saturating_sub(1),
            TagEnd::Emphasis => self.italic = self.italic.saturating_sub(1),
            TagEnd::Paragraph => {
                self.flush();
                if self.lists.is_empty() {
                    self.blank();
                }
            }
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.quote = self.quote.saturating_sub(1);
            }
            TagEnd::Item => self.flush(),
            TagEnd::List(_) => {
                self.lists.pop();
                if self.lists.is_empty() {
                    self.blank();
                }
            }
            TagEnd::CodeBlock => {
                self.code_block = false;
                self.blank();
            }
            TagEnd::Link | TagEnd::Image => {
                // The target is shown: what a link says and where it leads can differ.
                if let Some(target) = self.links.pop()
                    && !self.line.text().ends_with(&target)
                {
                    self.line.push(format!(" ({target})"), Style::DIM);
                }
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.line);
                if let Some(row) = self.table.as_mut().and_then(|rows| rows.last_mut()) {
                    row.push(cell);
                }
            }
            TagEnd::Table => self.draw_table(),
            _ => {}
        }
    }

    fn push(&mut self, text: &str) {
        let style = Style {
            bold: self.bold > 0 || self.heading,
            italic: self.italic > 0,
            ..Style::PLAIN
        };
        self.line.push(text, style);
    }

    fn code(&mut self, text: &str) {
        for line in text.lines() {
            let line = Line::styled(format!("  {line}"), Style::of(Colour::Cyan));
            self.rows.extend(line.wrap(self.width, "  "));
        }
    }

    /// Ends the line that is being collected.
    fn flush(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.0.is_empty() {
            return;
        }
        let depth = self.lists.len().saturating_sub(1);
        let mut whole = Line::default();
        let prefix = format!("{}{}", "│ ".repeat(self.quote), "  ".repeat(depth));
        if !prefix.is_empty() {
            whole.push(&prefix, Style::DIM);
        }
        whole.0.extend(line.0);
        let hanging = format!("{prefix}{}", if self.lists.is_empty() { "" } else { "  " });
        self.rows.extend(whole.wrap(self.width, &hanging));
    }

    fn blank(&mut self) {
        if self.rows.last().is_some_and(|row| !row.0.is_empty()) {
            self.rows.push(Line::default());
        }
    }

    /// Columns as wide as their widest cell; a table that does not fit is wrapped row by row.
    fn draw_table(&mut self) {
        let rows = self.table.take().unwrap_or_default();
        let count = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width_of = |column: usize| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| columns(&cell.text()))
                .max()
        };
        let widths: Vec<usize> = (0..count).map(|column| width_of(column).unwrap_or(0)).collect();
        for (index, row) in rows.iter().enumerate() {
            let mut line = Line::default();
            for (column, width) in widths.iter().enumerate() {
                let cell = row.get(column).cloned().unwrap_or_default();
                let padding = width - columns(&cell.text()).min(*width);
                for span in cell.0 {
                    line.push(span.text, if index == 0 { Style::BOLD } else { span.style });
                }
                if column + 1 < count {
                    line.push(format!("{} │ ", " ".repeat(padding)), Style::DIM);
                }
            }
            self.rows.extend(line.wrap(self.width, "  "));
            if index == 0 {
                let total = widths.iter().sum::<usize>() + 3 * count.saturating_sub(1);
                self.rows
                    .push(Line::styled("─".repeat(total.min(self.width)), Style::DIM));
            }
        }
        self.blank();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str) -> Vec<String> {
        render(text, 40).iter().map(Line::text).collect()
    }

    #[test]
    fn blocks_become_rows() {
        for (markdown, expected) in [
            ("# Title\n\ntext", vec!["Title", "", "text"]),
            ("one\ntwo", vec!["one two"]),
            ("- a\n- b\n  - c", vec!["• a", "• b", "  • c"]),
            ("1. a\n2. b", vec!["1. a", "2. b"]),
            (
                "```rust\nfn main() {}\n\n// x\n```",
                vec!["  rust", "  fn main() {}", "  ", "  // x"],
            ),
            ("> quoted", vec!["│ quoted"]),
            ("[here](http://x.example)", vec!["here (http://x.example)"]),
            (
                "| a | b |\n|---|---|\n| 1 | 22 |",
                vec!["a │ b", "──────", "1 │ 22"],
            ),
        ] {
            assert_eq!(rows(markdown), expected, "{markdown:?}");
        }
    }

    #[test]
    fn inline_styles_are_kept() {
        let line = &render("a **b** `c`", 40)[0];
        assert_eq!(line.ansi(), "a \x1b[1mb\x1b[0m \x1b[36mc\x1b[0m");
    }

    #[test]
    fn escape_sequences_in_an_answer_are_harmless() {
        assert_eq!(rows("a \x1b[31m b"), ["a \u{fffd}[31m b"]);
    }

    #[test]
    fn only_whole_blocks_are_finished() {
        for (text, finished) in [
            ("one line", 0),
            ("para\n\nnext", 6),
            ("```\ncode\n\nmore", 0),
            ("```\ncode\n\n```\n\nafter", 15),
            ("- a\n\n- b\n\n", 0),
            ("- a\n\nafter\n\n", 12),
            ("-\n``", 0),
            ("-\n```#", 0),
            ("```\ncode\n```rust\n\nmore", 0),
        ] {
            assert_eq!(finished_prefix(text), finished, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_renders_within_the_width(text in "[-#>`*|_\\[\\]() a-z0-9\n\u{e9}\u{65e5}]{0,300}", width in 20usize..60) {
            for row in render(&text, width) {
                prop_assert!(columns(&row.text()) <= width);
            }
        }

        #[test]
        fn the_finished_part_is_a_prefix_that_only_grows(text in "[-#`* a-z\n]{0,200}") {
            let mut before = 0;
            for (end, _) in text.char_indices() {
                let now = finished_prefix(&text[..end]);
                prop_assert!(now >= before && now <= end && text.is_char_boundary(now));
                before = now;
            }
        }
    }
}
