//! `keys`: the API keys that are stored in the data folder, listed, added, rotated, removed.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::os::unix::fs::DirBuilderExt as _;

use agent_claude::keys::{rotate, single};
use agent_config::{ApiKey, KeyState, Loaded, MAX_KEY_BYTES, Secret, host_of, parse_api_key};
use agent_security::key_file::{KeyFile, KeyFileError, MAX_HOSTS, is_id};
use agent_security::redact::Redactor;
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use serde_json::{Value, json};
use url::Url;

use super::args::{DataFormat, KeysCommand};
use super::audit::record;
use super::exit::Exit;
use super::output::{self, Table};
use super::{Failure, app};

/// How much of a key is shown, so that people can tell which one it is.
const SHOWN: usize = 4;

/// Of a shorter key that would be too much.
const MIN_SHOWN_OF: usize = 20;

pub(super) fn execute(
    loaded: &Loaded,
    redactor: &Redactor,
    command: KeysCommand,
    quiet: bool,
) -> Result<Exit, Failure> {
    let file = app::key_file(&loaded.config);
    // Before it is done; a command that is refused afterwards was tried all the same.
    let tried = |act: &str, name: Option<&str>| {
        make_folder(loaded)?;
        let audit = app::open_audit(loaded, redactor)?;
        record(&audit, act, name.unwrap_or("(next)").to_owned())
    };
    let done = match command {
        KeysCommand::List { output } => list(loaded, &file, output.format),
        KeysCommand::Add { name, host } => {
            tried("API key added", name.as_deref())?;
            add(loaded, &file, name, &host)
        }
        KeysCommand::Rotate { to } => {
            tried("API key rotated", to.as_deref())?;
            rotate_to(loaded, &file, to.as_deref())
        }
        KeysCommand::Remove { name } => {
            tried("API key removed", Some(&name))?;
            remove(&file, &name)
        }
    };
    done?;
    if let (false, Some(source)) = (quiet, &loaded.api_key_source) {
        output::note(&format!(
            "the key from {source} is used, and not those that are stored here"
        ));
    }
    Ok(Exit::Done)
}

fn list(loaded: &Loaded, file: &KeyFile, format: DataFormat) -> Result<(), Failure> {
    let stored = file.load()?;
    let base_url = &loaded.config.api.base_url;
    // Who gives a key when it is asked for one is not asked for the sake of a list.
    let outside = loaded.api_key_source.as_ref().map(|source| {
        let known = loaded.api_key.clone();
        let name = if known.is_some() { "(outside)" } else { "(asked)" };
        let secret = known.unwrap_or_else(|| Secret::from(""));
        (source.to_string(), single(base_url, name, secret))
    });
    let mut keys: Vec<(String, ApiKey)> = outside.into_iter().collect();
    let path = file.path().display().to_string();
    keys.extend(stored.into_iter().map(|key| (path.clone(), key)));
    let now = app::now();
    if format == DataFormat::Json {
        let rows = keys.iter().map(|(source, key)| {
            json!({
                "id": key.id,
                "state": key.state,
                "hosts": key.hosts,
                "source": source,
                "added_at": key.added_at,
                "age_seconds": key.added_at.map(|added| now.saturating_sub(added)),
                "last_four": last_four(&key.secret),
            })
        });
        return output::json(&json!({ "keys": rows.collect::<Vec<Value>>() }));
    }
    if keys.is_empty() {
        return output::line("no API keys; add one with: claude-agent keys add");
    }
    let mut table = Table::new(&["NAME", "STATE", "KEY", "AGE", "HOSTS", "SOURCE"]);
    for (source, key) in keys {
        let age = key.added_at.map(|added| age(now.saturating_sub(added)));
        table.row([
            key.id.clone(),
            key.state.as_str().to_owned(),
            last_four(&key.secret).map_or_else(|| "…".to_owned(), |last| format!("…{last}")),
            age.unwrap_or_else(|| "?".to_owned()),
            key.hosts.join(", "),
            source,
        ]);
    }
    output::line(table.to_string().trim_end())
}

fn add(loaded: &Loaded, file: &KeyFile, name: Option<String>, hosts: &[String]) -> Result<(), Failure> {
    if let Some(name) = &name
        && !is_id(name)
    {
        let failure = Failure::new(Exit::Usage, format!("{name}: not a name for a key"));
        return Err(failure.advise(
            "use up to 64 letters, digits, `-`, `_` and `.`; the key itself is read from standard input",
        ));
    }
    let hosts = match hosts {
        [] => vec![host_of(&loaded.config.api.base_url)],
        hosts if hosts.len() > MAX_HOSTS => {
            return Err(Failure::new(
                Exit::Usage,
                format!("a key can be bound to {MAX_HOSTS} hosts"),
            ));
        }
        hosts => hosts
            .iter()
            .map(|host| checked_host(host))
            .collect::<Result<_, _>>()?,
    };
    let secret = read_key()?;
    let added = file.change(|keys| {
        if let Some(same) = keys.iter().find(|key| key.secret == secret) {
            return Err(refused(format!("this key is there already, as {}", same.id)));
        }
        let id = name.unwrap_or_else(|| free_name(keys));
        if keys.iter().any(|key| key.id == id) {
            return Err(refused(format!("there is a key called {id} already")));
        }
        let in_use =
            |key: &ApiKey| key.state == KeyState::Active && hosts.iter().any(|host| key.is_bound_to(host));
        let state = if keys.iter().any(in_use) {
            KeyState::Standby
        } else {
            KeyState::Active
        };
        let added = ApiKey {
            id,
            secret,
            hosts,
            added_at: Some(app::now()),
            state,
        };
        keys.push(added.clone());
        Ok(added)
    })?;
    output::line(&format!(
        "added {} ({}), which is sent to {} only",
        added.id,
        added.state.as_str(),
        added.hosts.join(", ")
    ))
}

fn rotate_to(loaded: &Loaded, file: &KeyFile, to: Option<&str>) -> Result<(), Failure> {
    let host = host_of(&loaded.config.api.base_url);
    let rotation = file.change(|keys| rotate(keys, &host, to).map_err(|error| refused(error.to_string())))?;
    let before = rotation
        .from
        .map(|from| format!(" instead of {from}"))
        .unwrap_or_default();
    output::line(&format!(
        "{} is used for {host} now{before}; requests under way keep theirs",
        rotation.to
    ))
}

fn remove(file: &KeyFile, name: &str) -> Result<(), Failure> {
    let next = file.change(|keys| {
        let at = keys.iter().position(|key| key.id == name);
        let Some(at) = at else {
            return Err(refused(format!("no key is called {name}")));
        };
        let removed = keys.remove(at);
        if removed.state != KeyState::Active {
            return Ok(None);
        }
        let hosts = removed.hosts.iter();
        Ok(hosts.filter_map(|host| rotate(keys, host, None).ok()).last())
    })?;
    let next = next
        .map(|next| format!("; {} is used now", next.to))
        .unwrap_or_default();
    output::line(&format!(
        "removed {name}{next}; it is still valid until you revoke it at the API"
    ))
}

/// From standard input, or typed unseen. Never from the arguments, which every process can read.
fn read_key() -> Result<Secret, Failure> {
    let text = if io::stdin().is_terminal() {
        typed_unseen()?
    } else {
        // Room for all of it at once: a buffer that grows leaves copies behind that nothing overwrites.
        let limit = MAX_KEY_BYTES + 2;
        let mut line = String::with_capacity(limit + 64);
        let read = io::stdin().lock().take(limit as u64).read_line(&mut line);
        let line = Secret::from(line);
        read.map_err(|error| Failure::new(Exit::Usage, format!("the key can't be read: {error}")))?;
        line
    };
    parse_api_key(text.expose()).map_err(|why| {
        Failure::new(Exit::Usage, format!("what was read {why}"))
            .advise("give the key, one line, on standard input: claude-agent keys add < key-file")
    })
}

fn typed_unseen() -> Result<Secret, Failure> {
    let unusable =
        |error: io::Error| Failure::new(Exit::Failed, format!("the terminal can't be used: {error}"));
    output::note("API key (it is not shown; Enter ends it, Ctrl-C gives up):");
    crossterm::terminal::enable_raw_mode().map_err(unusable)?;
    let typed = typed(&mut || event::read());
    crossterm::terminal::disable_raw_mode().map_err(unusable)?;
    typed
        .map_err(unusable)?
        .ok_or_else(|| Failure::told(Exit::Cancelled))
}

/// One line of keystrokes; `None` when the person gives up.
fn typed(next: &mut dyn FnMut() -> io::Result<Event>) -> io::Result<Option<Secret>> {
    let mut text = String::with_capacity(MAX_KEY_BYTES + 4);
    loop {
        match next()? {
            Event::Key(key) if key.kind == KeyEventKind::Release => {}
            Event::Key(key) if key.modifiers.contains(KeyModifiers::CONTROL) => {
                if matches!(key.code, KeyCode::Char('c' | 'd')) {
                    drop(Secret::from(text));
                    return Ok(None);
                }
            }
            Event::Key(key) => match key.code {
                KeyCode::Enter => return Ok(Some(Secret::from(text))),
                KeyCode::Backspace => {
                    text.pop();
                }
                KeyCode::Char(c) if text.len() <= MAX_KEY_BYTES => text.push(c),
                _ => {}
            },
            _ => {}
        }
    }
}

/// A host as a key is bound to it: lower case, and the port only where it isn't the usual one.
fn checked_host(text: &str) -> Result<String, Failure> {
    let wrong = || {
        Failure::new(Exit::Usage, format!("--host {text}: not a host"))
            .advise("give a name and, if it needs one, a port: api.anthropic.com, 127.0.0.1:8400")
    };
    let url: Url = format!("https://{text}").parse().map_err(|_| wrong())?;
    let plain = url.path() == "/"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(host_of(&url)) } else { Err(wrong()) }
}

fn free_name(keys: &[ApiKey]) -> String {
    let mut number = keys.len() + 1;
    loop {
        let name = format!("key-{number}");
        if keys.iter().all(|key| key.id != name) {
            return name;
        }
        number += 1;
    }
}

fn last_four(secret: &Secret) -> Option<&str> {
    let text = secret.expose();
    (text.len() >= MIN_SHOWN_OF).then(|| &text[text.len() - SHOWN..])
}

fn age(seconds: u64) -> String {
    match seconds {
        0..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn refused(message: String) -> Failure {
    Failure::new(Exit::Usage, message).advise("`claude-agent keys list` shows what there is")
}

fn make_folder(loaded: &Loaded) -> Result<(), Failure> {
    let folder = &loaded.config.deployment.data_directory;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("the data folder {} can't be made: {error}", folder.display()),
        )
        .advise("name another one with --data-dir")
    })
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn at_most_four_characters_of_a_key_are_shown() {
        let shown = |text: &str| last_four(&Secret::from(text)).map(str::to_owned);
        assert_eq!(shown("sk-ant-0123456789-wxyz").as_deref(), Some("wxyz"));
        assert_eq!(shown("short-key"), None);
    }

    #[test]
    fn hosts_are_written_as_addresses_have_them() {
        let host = |text: &str| checked_host(text).ok();
        assert_eq!(host("API.example").as_deref(), Some("api.example"));
        assert_eq!(host("127.0.0.1:8400").as_deref(), Some("127.0.0.1:8400"));
        for text in ["", "a/b", "user@host", "a b", "host?x", "https://host"] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_typed_ends_with_enter_and_can_be_given_up() {
        let strokes = |text: &str, last: KeyEvent| {
            let mut events: Vec<KeyEvent> = text
                .chars()
                .map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE))
                .collect();
            events.push(last);
            let mut events = events.into_iter();
            typed(&mut || Ok(Event::Key(events.next().unwrap()))).unwrap()
        };
        let enter = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
        assert_eq!(strokes("sk-ant", enter).unwrap().expose(), "sk-ant");
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert!(strokes("sk-ant", interrupt).is_none());
        let endless = "x".repeat(MAX_KEY_BYTES * 2);
        assert!(parse_api_key(strokes(&endless, enter).unwrap().expose()).is_err());
    }
}
