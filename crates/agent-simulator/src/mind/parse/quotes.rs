//! Quoted text is set aside before a task is taken apart, so that nothing in it counts as words of the task.

/// Stands for the first quoted text; the following characters for the next ones. Private use: nobody types them.
const FIRST_MARK: u32 = 0xE000;
/// Marks that there are. A task with more quotes keeps the rest as plain text.
const MAX_QUOTES: usize = 0x1800;

/// A task's text with marks in the places of its quotes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quoted {
    pub(crate) text: String,
    quotes: Vec<(String, &'static str)>,
}

/// Opening and closing marks, longest first.
const PAIRS: &[(&str, &str)] = &[
    ("```", "```"),
    ("`", "`"),
    ("\"", "\""),
    ("“", "”"),
    ("‘", "’"),
    ("'", "'"),
];

impl Quoted {
    pub(crate) fn new(task: &str) -> Self {
        let mut quoted = Self::default();
        let mut rest = task;
        let mut before = ' ';
        while let Some(character) = rest.chars().next() {
            if let Some((content, open, length)) =
                quote_at(rest, before).filter(|_| quoted.quotes.len() < MAX_QUOTES)
            {
                quoted.text.push(quoted.next_mark());
                quoted.quotes.push((content.to_owned(), open));
                rest = &rest[length..];
                before = '"';
                continue;
            }
            if !is_mark(character) {
                quoted.text.push(character);
            }
            before = character;
            rest = &rest[character.len_utf8()..];
        }
        quoted
    }

    fn next_mark(&self) -> char {
        u32::try_from(self.quotes.len())
            .ok()
            .and_then(|at| char::from_u32(FIRST_MARK + at))
            .unwrap_or(' ')
    }

    /// The text behind a mark, if the word is one (with or without punctuation around it).
    pub(crate) fn literal(&self, word: &str) -> Option<&str> {
        let mark = word.chars().find(|character| is_mark(*character))?;
        self.quotes
            .get((u32::from(mark) - FIRST_MARK) as usize)
            .map(|(text, _)| text.as_str())
    }

    /// The quotes in a part of the text, in order.
    pub(crate) fn literals<'s>(&'s self, part: &'s str) -> impl Iterator<Item = &'s str> {
        let marks = part.char_indices().filter(|(_, character)| is_mark(*character));
        marks.filter_map(|(at, character)| self.literal(&part[at..at + character.len_utf8()]))
    }

    /// A part of the text as it was written, without the quotation marks.
    pub(crate) fn plain(&self, part: &str) -> String {
        part.chars().fold(String::new(), |mut text, character| {
            match self.literal(character.encode_utf8(&mut [0; 4])) {
                Some(literal) => text.push_str(literal),
                None => text.push(character),
            }
            text
        })
    }
}

pub(crate) fn is_mark(character: char) -> bool {
    (FIRST_MARK..FIRST_MARK + MAX_QUOTES as u32).contains(&u32::from(character))
}

/// The quote that begins here: its text, its opening mark, its whole length.
fn quote_at(rest: &str, before: char) -> Option<(&str, &'static str, usize)> {
    let (open, close) = *PAIRS.iter().find(|(open, _)| rest.starts_with(open))?;
    // "don't" and "the files' names" open no quote.
    if open == "'" && before.is_alphanumeric() {
        return None;
    }
    let inside = &rest[open.len()..];
    let ends = inside.match_indices(close).map(|(at, _)| at);
    let end = match open {
        "'" => ends
            .into_iter()
            .find(|at| !inside[at + 1..].starts_with(char::is_alphanumeric))?,
        _ => ends.into_iter().next()?,
    };
    if end == 0 || (open == "'" && inside[..end].contains('\n')) {
        return None;
    }
    let content = &inside[..end];
    // A fence's first line names the language.
    let content = match (open, content.split_once('\n')) {
        ("```", Some((_, code))) => code,
        _ => content,
    };
    Some((content, open, open.len() + end + close.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_set_aside_and_apostrophes_are_not() {
        let quoted =
            Quoted::new("don't replace 'it's, and that' with \"b; then\" in `x y.py`, it's the files' job");
        assert_eq!(
            quoted.literals(&quoted.text).collect::<Vec<_>>(),
            ["it's, and that", "b; then", "x y.py"]
        );
        assert!(quoted.text.starts_with("don't replace ") && quoted.text.ends_with("it's the files' job"));
        assert_eq!(quoted.plain(&quoted.text).matches("it's, and that").count(), 1);
    }

    #[test]
    fn a_fence_is_one_quote_without_its_language() {
        let quoted = Quoted::new("write a.py with\n```python\nprint('x')\n```");
        assert_eq!(
            quoted.literals(&quoted.text).collect::<Vec<_>>(),
            ["print('x')\n"]
        );
    }
}
