//! Lines of styled text, cut to the width of the terminal before they are drawn: a region that is redrawn in place must
//! know how many rows it has.

use unicode_width::UnicodeWidthChar;

use super::output::visible;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) enum Colour {
    #[default]
    Plain,
    Red,
    Green,
    Yellow,
    Cyan,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Style {
    pub(in crate::cli) colour: Colour,
    pub(in crate::cli) bold: bool,
    pub(in crate::cli) dim: bool,
    pub(in crate::cli) italic: bool,
}

impl Style {
    pub(in crate::cli) const PLAIN: Self = Self {
        colour: Colour::Plain,
        bold: false,
        dim: false,
        italic: false,
    };
    pub(in crate::cli) const DIM: Self = Self {
        dim: true,
        ..Self::PLAIN
    };
    pub(in crate::cli) const BOLD: Self = Self {
        bold: true,
        ..Self::PLAIN
    };

    pub(in crate::cli) const fn of(colour: Colour) -> Self {
        Self {
            colour,
            ..Self::PLAIN
        }
    }

    /// The SGR sequence that switches from no style to this one.
    fn sequence(self) -> String {
        let mut codes = Vec::new();
        codes.extend(self.bold.then_some("1"));
        codes.extend(self.dim.then_some("2"));
        codes.extend(self.italic.then_some("3"));
        codes.extend(match self.colour {
            Colour::Plain => None,
            Colour::Red => Some("31"),
            Colour::Green => Some("32"),
            Colour::Yellow => Some("33"),
            Colour::Cyan => Some("36"),
        });
        if codes.is_empty() {
            String::new()
        } else {
            format!("\x1b[{}m", codes.join(";"))
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Span {
    pub(in crate::cli) text: String,
    pub(in crate::cli) style: Style,
}

/// One row, or a logical line that [`Line::wrap`] still has to cut into rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Line(pub(in crate::cli) Vec<Span>);

impl Line {
    pub(in crate::cli) fn styled(text: impl AsRef<str>, style: Style) -> Self {
        let mut line = Self::default();
        line.push(text, style);
        line
    }

    pub(in crate::cli) fn plain(text: impl AsRef<str>) -> Self {
        Self::styled(text, Style::PLAIN)
    }

    /// Appends text. Control characters become visible and a tab becomes four columns, so that widths are true.
    pub(in crate::cli) fn push(&mut self, text: impl AsRef<str>, style: Style) {
        let text = visible(text.as_ref()).replace('\t', "    ").replace('\n', " ");
        match self.0.last_mut() {
            Some(last) if last.style == style => last.text.push_str(&text),
            _ => self.0.push(Span { text, style }),
        }
    }

    pub(in crate::cli) fn text(&self) -> String {
        self.0.iter().map(|span| span.text.as_str()).collect()
    }

    /// The line as the terminal takes it, without a line end.
    pub(in crate::cli) fn ansi(&self) -> String {
        let mut out = String::new();
        for span in &self.0 {
            let sequence = span.style.sequence();
            out.push_str(&sequence);
            out.push_str(&span.text);
            if !sequence.is_empty() {
                out.push_str("\x1b[0m");
            }
        }
        out
    }

    /// Rows of at most `width` columns, broken at spaces where there are any; the second and later rows begin with
    /// `indent`.
    pub(in crate::cli) fn wrap(&self, width: usize, indent: &str) -> Vec<Line> {
        let width = width.max(8);
        let mut rows = Rows {
            width,
            indent,
            done: Vec::new(),
            row: Line::default(),
            column: 0,
        };
        for (word, style) in self.words() {
            rows.put(word, style);
        }
        rows.done.push(rows.row);
        rows.done
    }

    /// Runs of spaces and runs of other characters, each with its style.
    fn words(&self) -> impl Iterator<Item = (&str, Style)> {
        self.0.iter().flat_map(|span| {
            let mut rest = span.text.as_str();
            std::iter::from_fn(move || {
                let is_space = rest.starts_with(' ');
                let end = rest.find(|c: char| (c == ' ') != is_space).unwrap_or(rest.len());
                let (word, tail) = rest.split_at(end);
                rest = tail;
                (!word.is_empty()).then_some((word, span.style))
            })
        })
    }
}

struct Rows<'a> {
    width: usize,
    indent: &'a str,
    done: Vec<Line>,
    row: Line,
    column: usize,
}

impl Rows<'_> {
    fn put(&mut self, word: &str, style: Style) {
        let wide = columns(word);
        if self.column + wide <= self.width {
            self.row.push(word, style);
            self.column += wide;
            return;
        }
        if word.starts_with(' ') {
            self.break_row();
            return;
        }
        if self.column > columns(self.indent) {
            self.break_row();
        }
        for c in word.chars() {
            let mut buffer = [0; 4];
            let wide = c.width().unwrap_or(0);
            if self.column + wide > self.width {
                self.break_row();
            }
            self.row.push(c.encode_utf8(&mut buffer), style);
            self.column += wide;
        }
    }

    fn break_row(&mut self) {
        self.done.push(std::mem::take(&mut self.row));
        self.row.push(self.indent, Style::DIM);
        self.column = columns(self.indent);
    }
}

/// Terminal columns of a text without control characters.
pub(in crate::cli) fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wrapped(text: &str, width: usize) -> Vec<String> {
        Line::plain(text).wrap(width, "").iter().map(Line::text).collect()
    }

    #[test]
    fn rows_break_at_spaces_and_long_words_are_cut() {
        assert_eq!(wrapped("the quick brown fox", 10), ["the quick ", "brown fox"]);
        assert_eq!(wrapped("0123456789abc", 10), ["0123456789", "abc"]);
        assert_eq!(wrapped("漢字漢字漢字", 8), ["漢字漢字", "漢字"]);
        assert_eq!(wrapped("", 10), [""]);
    }

    #[test]
    fn later_rows_are_indented() {
        let rows = Line::plain("• alpha beta gamma").wrap(10, "  ");
        assert_eq!(
            rows.iter().map(Line::text).collect::<Vec<_>>(),
            ["• alpha ", "  beta ", "  gamma"]
        );
    }

    #[test]
    fn styles_end_where_they_began() {
        let mut line = Line::styled("a", Style::BOLD);
        line.push("b", Style::PLAIN);
        assert_eq!(line.ansi(), "\x1b[1ma\x1b[0mb");
    }

    proptest! {
        #[test]
        fn no_row_is_wider_than_the_terminal(text in "\\PC{0,200}", width in 8usize..60) {
            for row in Line::plain(&text).wrap(width, "  ") {
                prop_assert!(columns(&row.text()) <= width, "{:?}", row.text());
            }
        }
    }
}
