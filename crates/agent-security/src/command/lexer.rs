//! Taking a command line apart, or saying which shell feature stands in the way.
//!
//! The grammar is what `sh`, `bash` and `zsh` read alike: plain words, single quotes, double quotes around
//! plain text, and `&&`, `||`, `;`, `|` between simple commands. Characters are allowed by a list; everything
//! that is not on it is refused, so a feature nobody thought of is refused as well.

use std::fmt;
use std::iter::Peekable;
use std::str::CharIndices;

use crate::characters::deceptive;

/// The longest command line taken apart, in bytes. What a person would approve at a glance is far shorter;
/// the limit keeps a hostile one from costing time.
pub const MAX_COMMAND_BYTES: usize = 8 * 1024;

/// One simple command: a program and its arguments, quotes removed. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Argv {
    words: Vec<String>,
}

impl Argv {
    /// The program as it was written.
    pub fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// What follows the program.
    pub fn args(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Program and arguments.
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

/// Why a command line was not taken apart, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the command has {construct} (at byte {at}), which is not judged automatically")]
pub struct Unparsed {
    /// The feature that stands in the way.
    pub construct: Construct,
    /// Where it is, in bytes from the start of the command line.
    pub at: usize,
}

/// Shell features that are not taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Construct {
    /// `$…` or a backtick, also in double quotes.
    Substitution,
    /// `<`, `>`, here-documents, process substitution.
    Redirection,
    /// `NAME=value` where the program should be.
    Assignment,
    /// `*`, `?`, `[…]` outside quotes.
    Glob,
    /// `{…}` outside quotes.
    Brace,
    /// `(…)` outside quotes.
    Subshell,
    /// `&` or `|&`.
    Background,
    /// `!`.
    History,
    /// `~` where a shell would put a home folder.
    Tilde,
    /// `#` outside quotes.
    Comment,
    /// A backslash outside single quotes.
    Backslash,
    /// A line break, tab or other control character, quoted or not.
    Control,
    /// A character outside ASCII that is not quoted, or a deceptive one that is.
    NonAscii,
    /// Any other character with a meaning to some shell.
    Special,
    /// A quote that is not closed.
    OpenQuote,
    /// A program name in quotes.
    QuotedProgram,
    /// A word of the shell's grammar where the program should be.
    Keyword,
    /// An operator with no command on one side, or nothing at all.
    EmptyCommand,
    /// More than [`MAX_COMMAND_BYTES`].
    TooLong,
}

impl fmt::Display for Construct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Substitution => "a substitution (`$` or a backtick)",
            Self::Redirection => "a redirection",
            Self::Assignment => "an assignment before the program",
            Self::Glob => "a pattern outside quotes",
            Self::Brace => "a brace outside quotes",
            Self::Subshell => "a parenthesis outside quotes",
            Self::Background => "a `&` that starts a background job",
            Self::History => "a `!`",
            Self::Tilde => "a `~` that a shell may expand",
            Self::Comment => "a `#` outside quotes",
            Self::Backslash => "a backslash outside single quotes",
            Self::Control => "a line break or control character",
            Self::NonAscii => "a character that is not plain text",
            Self::Special => "a character with a meaning to the shell",
            Self::OpenQuote => "a quote that is not closed",
            Self::QuotedProgram => "a quoted program name",
            Self::Keyword => "a word of the shell's own grammar",
            Self::EmptyCommand => "an empty command",
            Self::TooLong => "more text than is taken apart",
        })
    }
}

/// Words that begin a compound command, or change how the next word is read, in `bash` or `zsh`.
const KEYWORDS: &[&str] = &[
    "if",
    "then",
    "elif",
    "else",
    "fi",
    "for",
    "foreach",
    "while",
    "until",
    "do",
    "done",
    "case",
    "esac",
    "select",
    "function",
    "time",
    "coproc",
    "in",
    "end",
    "repeat",
    "nocorrect",
    "noglob",
    "always",
    "declare",
    "typeset",
    "local",
    "export",
    "readonly",
];

/// The simple commands of a command line, in order, whatever joins them.
pub fn parse(cmd: &str) -> Result<Vec<Argv>, Unparsed> {
    if cmd.len() > MAX_COMMAND_BYTES {
        return Err(Unparsed {
            construct: Construct::TooLong,
            at: MAX_COMMAND_BYTES,
        });
    }
    let mut lexer = Lexer {
        chars: cmd.char_indices().peekable(),
        word: None,
        words: Vec::new(),
        commands: Vec::new(),
    };
    while let Some((at, c)) = lexer.chars.next() {
        lexer.take(c).map_err(|construct| Unparsed { construct, at })?;
    }
    lexer.end_command().map_err(|construct| Unparsed {
        construct,
        at: cmd.len(),
    })?;
    Ok(lexer.commands)
}

/// A word being read.
#[derive(Default)]
struct Word {
    text: String,
    quoted: bool,
}

struct Lexer<'a> {
    chars: Peekable<CharIndices<'a>>,
    word: Option<Word>,
    words: Vec<Word>,
    commands: Vec<Argv>,
}

impl Lexer<'_> {
    fn take(&mut self, c: char) -> Result<(), Construct> {
        match c {
            ' ' => self.words.extend(self.word.take()),
            '\'' | '"' => self.take_quoted(c)?,
            '|' => {
                if !self.next_is('|') && self.next_is('&') {
                    return Err(Construct::Background);
                }
                self.end_command()?;
            }
            '&' => {
                if !self.next_is('&') {
                    return Err(Construct::Background);
                }
                self.end_command()?;
            }
            ';' => self.end_command()?,
            // `zsh` replaces a word that begins with `=` by the path of a program.
            '=' if self.word.is_none() => return Err(Construct::Special),
            c if is_plain(c) => self.push(c),
            // Revisions (`HEAD~1`, `HEAD^`): a shell gives these two a meaning only at other places in a word.
            '~' | '^' if self.after_name() => self.push(c),
            c => return Err(refused(c)),
        }
        Ok(())
    }

    fn take_quoted(&mut self, quote: char) -> Result<(), Construct> {
        let word = self.word.get_or_insert_default();
        word.quoted = true;
        for (_, c) in self.chars.by_ref() {
            match c {
                c if c == quote => return Ok(()),
                '$' | '`' if quote == '"' => return Err(Construct::Substitution),
                '\\' if quote == '"' => return Err(Construct::Backslash),
                '!' if quote == '"' => return Err(Construct::History),
                c if c.is_control() => return Err(Construct::Control),
                c if deceptive(c).is_some() => return Err(Construct::NonAscii),
                c => word.text.push(c),
            }
        }
        Err(Construct::OpenQuote)
    }

    fn next_is(&mut self, expected: char) -> bool {
        self.chars.next_if(|(_, c)| *c == expected).is_some()
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().text.push(c);
    }

    /// Whether the word so far ends in a letter, a digit or another revision mark, unquoted throughout.
    fn after_name(&self) -> bool {
        let last = self
            .word
            .as_ref()
            .filter(|word| !word.quoted)
            .and_then(|word| word.text.chars().last());
        last.is_some_and(|c| c.is_ascii_alphanumeric() || c == '~' || c == '^')
    }

    fn end_command(&mut self) -> Result<(), Construct> {
        self.words.extend(self.word.take());
        let program = self.words.first().ok_or(Construct::EmptyCommand)?;
        if program.quoted {
            return Err(Construct::QuotedProgram);
        }
        if program.text.contains('=') {
            return Err(Construct::Assignment);
        }
        if KEYWORDS.contains(&program.text.as_str()) {
            return Err(Construct::Keyword);
        }
        self.commands.push(Argv {
            words: self.words.drain(..).map(|word| word.text).collect(),
        });
        Ok(())
    }
}

/// Characters that mean themselves in every shell, wherever they stand in a word.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ',' | ':' | '+' | '=' | '@' | '%')
}

fn refused(c: char) -> Construct {
    match c {
        '$' | '`' => Construct::Substitution,
        '<' | '>' => Construct::Redirection,
        '*' | '?' | '[' | ']' => Construct::Glob,
        '{' | '}' => Construct::Brace,
        '(' | ')' => Construct::Subshell,
        '!' => Construct::History,
        '~' => Construct::Tilde,
        '#' => Construct::Comment,
        '\\' => Construct::Backslash,
        c if c.is_control() => Construct::Control,
        c if c.is_ascii() => Construct::Special,
        _ => Construct::NonAscii,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(cmd: &str) -> Result<Vec<Vec<String>>, Construct> {
        parse(cmd)
            .map(|commands| commands.iter().map(|argv| argv.words().to_vec()).collect())
            .map_err(|unparsed| unparsed.construct)
    }

    #[test]
    fn plain_commands_are_taken_apart() {
        let cases: &[(&str, &[&[&str]])] = &[
            ("ls", &[&["ls"]]),
            ("  ls   -la  ", &[&["ls", "-la"]]),
            ("rg 'a b|c$(d)' src", &[&["rg", "a b|c$(d)", "src"]]),
            ("rg \"it's\" .", &[&["rg", "it's", "."]]),
            ("cat a'b'\"c\"d ''", &[&["cat", "abcd", ""]]),
            ("cat 'größe'", &[&["cat", "größe"]]),
            ("git log HEAD~2^..HEAD", &[&["git", "log", "HEAD~2^..HEAD"]]),
            ("a&&b||c;d|e", &[&["a"], &["b"], &["c"], &["d"], &["e"]]),
            (
                "cargo test --color=never a::b",
                &[&["cargo", "test", "--color=never", "a::b"]],
            ),
            ("date +%Y-%m", &[&["date", "+%Y-%m"]]),
        ];
        for (cmd, expected) in cases {
            let expected: Vec<Vec<String>> = expected
                .iter()
                .map(|argv| argv.iter().map(ToString::to_string).collect())
                .collect();
            assert_eq!(words(cmd), Ok(expected), "{cmd:?}");
        }
    }

    #[test]
    fn every_other_feature_is_named() {
        use Construct::*;
        let long = "a ".repeat(MAX_COMMAND_BYTES);
        let cases: &[(&str, Construct)] = &[
            ("", EmptyCommand),
            ("   ", EmptyCommand),
            ("ls;", EmptyCommand),
            ("; ls", EmptyCommand),
            ("ls ;; ls", EmptyCommand),
            ("ls | | wc", EmptyCommand),
            ("ls &&", EmptyCommand),
            ("ls &&& ls", Background),
            ("ls &", Background),
            ("ls & rm x", Background),
            ("ls |& wc", Background),
            ("ls $HOME", Substitution),
            ("ls $(id)", Substitution),
            ("ls `id`", Substitution),
            ("ls \"$(id)\"", Substitution),
            ("ls \"`id`\"", Substitution),
            ("ls $'\\x41'", Substitution),
            ("ls > x", Redirection),
            ("ls 2>&1", Redirection),
            ("cat < x", Redirection),
            ("cat << EOF", Redirection),
            ("cat <(id)", Redirection),
            ("A=1 ls", Assignment),
            ("A+=1", Assignment),
            ("=ls", Special),
            ("cat =ls", Special),
            ("ls *.rs", Glob),
            ("ls a?", Glob),
            ("ls [a]", Glob),
            ("ls {a,b}", Brace),
            ("{ ls; }", Brace),
            ("(ls)", Subshell),
            ("f() ls", Subshell),
            ("! ls", History),
            ("ls !!", History),
            ("ls \"!!\"", History),
            ("ls ~", Tilde),
            ("ls ~root/x", Tilde),
            ("ls a=~/x", Tilde),
            ("ls a:~/x", Tilde),
            ("ls ''~", Tilde),
            ("^a^b", Special),
            ("ls # x", Comment),
            ("ls \\", Backslash),
            ("l\\s", Backslash),
            ("ls \"a\\b\"", Backslash),
            ("ls\nid", Control),
            ("ls\rid", Control),
            ("ls\tx", Control),
            ("ls 'a\nb'", Control),
            ("ls \0", Control),
            ("ls ö", NonAscii),
            ("ls\u{a0}-l", NonAscii),
            ("ls \u{201c}x\u{201d}", NonAscii),
            ("ls 'a\u{202e}b'", NonAscii),
            ("ls 'a", OpenQuote),
            ("ls \"a", OpenQuote),
            ("'ls'", QuotedProgram),
            ("l''s", QuotedProgram),
            ("\"\" ls", QuotedProgram),
            ("if", Keyword),
            ("time ls", Keyword),
            ("export A", Keyword),
            (&long, TooLong),
        ];
        for (cmd, expected) in cases {
            assert_eq!(words(cmd), Err(*expected), "{cmd:?}");
        }
    }

    #[test]
    fn the_message_names_the_feature_and_the_place() {
        let message = parse("ls $HOME").expect_err("a substitution").to_string();
        assert_eq!(
            message,
            "the command has a substitution (`$` or a backtick) (at byte 3), which is not judged automatically"
        );
    }
}
