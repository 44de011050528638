//! The input line: several rows of text, a cursor, and the entries of before.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::history::History;

/// A pasted book is not a prompt; the API would refuse it far below this.
const MAX_INPUT_BYTES: usize = 1024 * 1024;

/// What a key meant beyond editing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Edited {
    /// The text changed, or nothing happened.
    Continue,
    /// Enter: this text is to be sent.
    Submit(String),
    /// Ctrl-D on an empty line.
    EndOfInput,
}

#[derive(Debug, Default)]
pub(super) struct Editor {
    text: String,
    /// Byte position, always on a character boundary.
    cursor: usize,
    /// How far back in the history; 0 is the text being written.
    back: usize,
    /// The text being written while an older entry is shown.
    draft: String,
}

impl Editor {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text before the cursor: where it is drawn follows from it.
    pub(super) fn before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Puts text in at the cursor; what passes the limit is left out.
    pub(super) fn insert(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut room = MAX_INPUT_BYTES.saturating_sub(self.text.len()).min(text.len());
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        self.text.insert_str(self.cursor, &text[..room]);
        self.cursor += room;
    }

    pub(super) fn key(&mut self, key: KeyEvent, history: &History) -> Edited {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let shift = key.modifiers.contains(KeyModifiers::SHIFT);
        match key.code {
            KeyCode::Enter if alt || shift => self.insert("\n"),
            KeyCode::Enter if self.before_cursor().ends_with('\\') => {
                self.backspace();
                self.insert("\n");
            }
            KeyCode::Enter => return self.submit(),
            KeyCode::Char('j') if control => self.insert("\n"),
            KeyCode::Char('d') if control && self.text.is_empty() => return Edited::EndOfInput,
            KeyCode::Char('d') if control => self.delete(),
            KeyCode::Char('a') if control => self.cursor = self.line_start(),
            KeyCode::Char('e') if control => self.cursor = self.line_end(),
            KeyCode::Char('b') if control => self.left(),
            KeyCode::Char('f') if control => self.right(),
            KeyCode::Char('u') if control => self.remove(self.line_start(), self.cursor),
            KeyCode::Char('k') if control => self.remove(self.cursor, self.line_end()),
            KeyCode::Char('w') if control => self.remove(self.word_left(), self.cursor),
            KeyCode::Char('b') if alt => self.cursor = self.word_left(),
            KeyCode::Char('f') if alt => self.cursor = self.word_right(),
            KeyCode::Char('p') if control => self.older(history),
            KeyCode::Char('n') if control => self.newer(history),
            KeyCode::Char(c) if !control && !alt => self.insert(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace if alt || control => self.remove(self.word_left(), self.cursor),
            KeyCode::Backspace => self.backspace(),
            KeyCode::Delete => self.delete(),
            KeyCode::Left if control || alt => self.cursor = self.word_left(),
            KeyCode::Right if control || alt => self.cursor = self.word_right(),
            KeyCode::Left => self.left(),
            KeyCode::Right => self.right(),
            KeyCode::Home => self.cursor = self.line_start(),
            KeyCode::End => self.cursor = self.line_end(),
            KeyCode::Up => self.up(history),
            KeyCode::Down => self.down(history),
            _ => {}
        }
        Edited::Continue
    }

    fn submit(&mut self) -> Edited {
        if self.text.trim().is_empty() {
            return Edited::Continue;
        }
        let text = std::mem::take(&mut self.text);
        self.clear();
        Edited::Submit(text)
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.cursor = from;
    }

    fn previous(&self) -> usize {
        self.text[..self.cursor]
            .char_indices()
            .next_back()
            .map_or(0, |(at, _)| at)
    }

    fn next(&self) -> usize {
        self.text[self.cursor..]
            .chars()
            .next()
            .map_or(self.cursor, |c| self.cursor + c.len_utf8())
    }

    fn backspace(&mut self) {
        self.remove(self.previous(), self.cursor);
    }

    fn delete(&mut self) {
        self.remove(self.cursor, self.next());
    }

    fn left(&mut self) {
        self.cursor = self.previous();
    }

    fn right(&mut self) {
        self.cursor = self.next();
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..]
            .find('\n')
            .map_or(self.text.len(), |at| self.cursor + at)
    }

    fn word_left(&self) -> usize {
        let before = self.text[..self.cursor].trim_end();
        before
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8))
    }

    fn word_right(&self) -> usize {
        let after = &self.text[self.cursor..];
        let spaces = after.len() - after.trim_start().len();
        after[spaces..]
            .find(char::is_whitespace)
            .map_or(self.text.len(), |at| self.cursor + spaces + at)
    }

    /// Up moves in the text while there is a line above, then back in the history.
    fn up(&mut self, history: &History) {
        let start = self.line_start();
        if start == 0 {
            return self.older(history);
        }
        let column = self.text[start..self.cursor].chars().count();
        self.cursor = start - 1;
        self.go_to_column(column);
    }

    fn down(&mut self, history: &History) {
        let end = self.line_end();
        if end == self.text.len() {
            return self.newer(history);
        }
        let column = self.text[self.line_start()..self.cursor].chars().count();
        self.cursor = end + 1;
        self.go_to_column(column);
    }

    fn go_to_column(&mut self, column: usize) {
        let start = self.line_start();
        let line = &self.text[start..self.line_end()];
        self.cursor = line
            .char_indices()
            .nth(column)
            .map_or(start + line.len(), |(at, _)| start + at);
    }

    fn older(&mut self, history: &History) {
        if let Some(entry) = history.back(self.back + 1) {
            if self.back == 0 {
                self.draft = std::mem::take(&mut self.text);
            }
            self.back += 1;
            self.text = entry.to_owned();
            self.cursor = self.text.len();
        }
    }

    fn newer(&mut self, history: &History) {
        if self.back == 0 {
            return;
        }
        self.back -= 1;
        self.text = match history.back(self.back) {
            Some(entry) if self.back > 0 => entry.to_owned(),
            _ => std::mem::take(&mut self.draft),
        };
        self.cursor = self.text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Types a script: plain characters, and names of keys in angle brackets.
    fn type_into(editor: &mut Editor, history: &History, script: &str) -> Edited {
        let mut last = Edited::Continue;
        let mut rest = script;
        while let Some(c) = rest.chars().next() {
            let (name, tail) = match rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
                Some((name, tail)) => (Some(name), tail),
                None => (None, &rest[c.len_utf8()..]),
            };
            rest = tail;
            let (code, modifiers) = match name {
                None => (KeyCode::Char(c), KeyModifiers::NONE),
                Some("enter") => (KeyCode::Enter, KeyModifiers::NONE),
                Some("alt-enter") => (KeyCode::Enter, KeyModifiers::ALT),
                Some("left") => (KeyCode::Left, KeyModifiers::NONE),
                Some("up") => (KeyCode::Up, KeyModifiers::NONE),
                Some("down") => (KeyCode::Down, KeyModifiers::NONE),
                Some("back") => (KeyCode::Backspace, KeyModifiers::NONE),
                Some(control) => (
                    KeyCode::Char(control.chars().last().unwrap()),
                    KeyModifiers::CONTROL,
                ),
            };
            last = editor.key(KeyEvent::new(code, modifiers), history);
        }
        last
    }

    #[test]
    fn keys_edit_as_in_a_shell() {
        for (script, expected) in [
            ("hello", "hello"),
            ("helo<left>l", "hello"),
            ("one two<^w>", "one "),
            ("one two<^a><^k>", ""),
            ("one two<^u>", ""),
            ("a<alt-enter>b<up>c", "ac\nb"),
            ("a\\<enter>b", "a\nb"),
            ("é<back>e", "e"),
        ] {
            let mut editor = Editor::default();
            type_into(&mut editor, &History::in_memory(&[]), script);
            assert_eq!(editor.text(), expected, "{script}");
        }
    }

    #[test]
    fn history_goes_back_and_forth_and_keeps_the_draft() {
        let history = History::in_memory(&["first", "second"]);
        let mut editor = Editor::default();
        for (keys, expected) in [
            ("dra", "dra"),
            ("<up>", "second"),
            ("<up>", "first"),
            ("<up>", "first"),
            ("<down>", "second"),
            ("<down>", "dra"),
        ] {
            type_into(&mut editor, &history, keys);
            assert_eq!(editor.text(), expected, "{keys}");
        }
    }

    #[test]
    fn enter_sends_and_an_empty_line_does_not() {
        let history = History::in_memory(&[]);
        let mut editor = Editor::default();
        assert_eq!(type_into(&mut editor, &history, "  <enter>"), Edited::Continue);
        editor.clear();
        assert_eq!(
            type_into(&mut editor, &history, "do it<enter>"),
            Edited::Submit("do it".to_owned())
        );
        assert!(editor.is_empty());
        assert_eq!(type_into(&mut editor, &history, "<^d>"), Edited::EndOfInput);
    }

    #[test]
    fn a_paste_beyond_the_limit_is_cut_at_a_character() {
        let mut editor = Editor::default();
        editor.insert(&"é".repeat(MAX_INPUT_BYTES));
        assert_eq!(editor.text().len(), MAX_INPUT_BYTES);
    }

    proptest! {
        #[test]
        fn the_cursor_stays_on_a_character(keys in proptest::collection::vec(0usize..14, 0..80)) {
            let history = History::in_memory(&["ä\nö", "日本"]);
            let mut editor = Editor::default();
            for key in keys {
                let script = ["é", "日", " ", "a", "<left>", "<up>", "<down>", "<back>", "<^w>", "<^k>", "<^a>", "<^e>", "<alt-enter>", "<^f>"][key];
                type_into(&mut editor, &history, script);
                prop_assert!(editor.text.is_char_boundary(editor.cursor));
            }
        }
    }
}
