//! `chat`: the agent in a terminal. Keys and events come in, [`view::View`] turns them into a picture, [`Screen`](super::screen::Screen)
//! draws it.

mod editor;
mod history;
mod view;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use agent_config::Loaded;
use agent_config::environment::Environment;
use agent_core::{AgentEvent, ApprovalAnswer, ApprovalId, Session, SessionChoice, TurnHandle};
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures_util::StreamExt;

use self::editor::{Edited, Editor};
use self::history::History;
use self::view::View;
use super::args::ChatArgs;
use super::exit::Exit;
use super::signals::Interrupts;
use super::styled::{Colour, Line, Style};
use super::terminal::Terminal;
use super::{Failure, output};
use crate::app::{App, Keys, Presence, Working};

/// Two presses of Ctrl-C within this time quit.
const QUIT_WINDOW: Duration = Duration::from_secs(2);

/// A question takes an answer only after this long without a key: what was being typed when it came up must not be a yes.
const SETTLE: Duration = Duration::from_millis(400);

/// How often the spinner turns. Nothing is drawn while nothing runs.
const TICK: Duration = Duration::from_millis(100);

/// Events that are taken in before the picture is drawn once: fast answers are drawn at the speed of the terminal.
const EVENTS_A_FRAME: usize = 64;

const HISTORY_FILE: &str = "chat_history";

const HELP: &[&str] = &[
    "Enter sends, Alt-Enter or \\ Enter starts a new line, Up and Down bring earlier prompts back.",
    "While the agent works, what you send is put in with its next step.",
    "Ctrl-C stops the answer; Ctrl-C twice, or Ctrl-D on an empty line, quits.",
    "/new starts a new session, /help shows this, /quit quits.",
];

pub(super) async fn execute(
    loaded: Loaded,
    environment: &Environment,
    keys: &Keys,
    args: ChatArgs,
) -> Result<Exit, Failure> {
    if !std::io::stdin().is_terminal() || !output::is_terminal() {
        let failure = Failure::new(Exit::Usage, "chat needs a terminal");
        return Err(failure.advise("use `claude-agent run` in scripts and pipes"));
    }
    let agent = &args.agent;
    let app = App::build(
        &loaded,
        environment,
        keys,
        agent.session.as_deref(),
        agent.workspace.as_deref(),
        Presence::Person,
    )
    .await?;
    let history = History::open(loaded.config.deployment.data_directory.join(HISTORY_FILE));
    let done = match app.agent.start_session(app.choice.clone()).await {
        Ok(session) => talk(&app, session, &loaded.config.api.model, history).await,
        Err(error) => Err(error.into()),
    };
    app.shutdown().await?;
    let session = done?;
    if let Some(id) = session {
        output::note(&format!("go on with: claude-agent chat --session {id}"));
    }
    Ok(Exit::Done)
}

/// The conversation until the user quits; gives the session's id if there is one.
async fn talk(app: &App, session: Session, model: &str, history: History) -> Result<Option<String>, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let (width, height) = Terminal::size();
    let terminal = Terminal::enter(width).map_err(Failure::output)?;
    let id = session.resumed().map(|id| id.to_string());
    let mut chat = Chat {
        app,
        workspace: session.workspace().to_owned(),
        session,
        view: View::new(model.to_owned(), id, width, height),
        editor: Editor::default(),
        history,
        terminal,
        running: None,
        interrupted: None,
        asked: None,
        ticks: 0,
    };
    chat.greet()?;
    let mut keys = EventStream::new();
    let mut ticker = tokio::time::interval(TICK);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let flow = tokio::select! {
            key = keys.next() => match key {
                Some(Ok(event)) => chat.input(event).await?,
                Some(Err(_)) | None => Flow::Quit,
            },
            event = next_event(&mut chat.running) => {
                chat.events(event)?;
                Flow::Continue
            }
            _ = ticker.tick(), if chat.animates() => {
                chat.tick();
                Flow::Continue
            }
            () = interrupts.next() => Flow::Quit,
        };
        if flow == Flow::Quit {
            chat.stop().await;
            return Ok(chat.view.session().map(str::to_owned));
        }
        chat.draw(&[])?;
    }
}

/// The next event of the run; never while none is under way.
async fn next_event(running: &mut Option<Running>) -> Option<AgentEvent> {
    match running {
        Some(running) => running.handle.events.recv().await,
        None => std::future::pending().await,
    }
}

#[derive(PartialEq, Eq)]
enum Flow {
    Continue,
    Quit,
}

struct Running {
    handle: TurnHandle,
    begun: Instant,
    _working: Working,
}

struct Chat<'a> {
    app: &'a App,
    workspace: std::path::PathBuf,
    session: Session,
    view: View,
    editor: Editor,
    history: History,
    terminal: Terminal,
    running: Option<Running>,
    interrupted: Option<Instant>,
    /// The question that waits for an answer, and since when no key came that it did not take.
    asked: Option<(ApprovalId, Instant)>,
    ticks: usize,
}

impl Chat<'_> {
    fn greet(&mut self) -> Result<(), Failure> {
        let folder = self.workspace.display().to_string();
        let mut rows = vec![Line::styled(format!("Claude agent in {folder}"), Style::BOLD)];
        if let Some(id) = self.view.session() {
            rows.push(Line::styled(format!("going on with session {id}"), Style::DIM));
        }
        self.draw(&rows)
    }

    async fn input(&mut self, event: Event) -> Result<Flow, Failure> {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => return self.key(key).await,
            Event::Paste(text) => self.editor.insert(&text),
            Event::Resize(columns, rows) => {
                let (width, height) = (usize::from(columns.max(1)), usize::from(rows.max(1)));
                self.view.resize(width, height);
                self.terminal.screen.resize(width).map_err(Failure::output)?;
            }
            _ => {}
        }
        Ok(Flow::Continue)
    }

    async fn key(&mut self, key: KeyEvent) -> Result<Flow, Failure> {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Ok(self.interrupt());
        }
        self.interrupted = None;
        self.view.hint = None;
        if self.answer_approval(key) {
            return Ok(Flow::Continue);
        }
        match self.editor.key(key, &self.history) {
            Edited::Continue => Ok(Flow::Continue),
            Edited::EndOfInput => Ok(Flow::Quit),
            Edited::Submit(text) => self.submit(text).await,
        }
    }

    /// Ctrl-C: stops what runs, or clears the line; a second one soon after quits.
    fn interrupt(&mut self) -> Flow {
        if self
            .interrupted
            .is_some_and(|before| before.elapsed() < QUIT_WINDOW)
        {
            return Flow::Quit;
        }
        self.interrupted = Some(Instant::now());
        if let Some(running) = &self.running {
            running.handle.control.cancel();
            self.view.hint = Some("stopping · Ctrl-C again quits".to_owned());
        } else {
            self.editor.clear();
            self.view.hint = Some("Ctrl-C again quits".to_owned());
        }
        Flow::Continue
    }

    /// While an approval waits, keys answer it and nothing else.
    fn answer_approval(&mut self, key: KeyEvent) -> bool {
        let (Some(pending), Some(running)) = (self.view.pending(), &self.running) else {
            return false;
        };
        match &mut self.asked {
            Some((id, quiet)) if *id == pending.id && quiet.elapsed() >= SETTLE => {}
            Some((_, quiet)) => {
                *quiet = Instant::now();
                return true;
            }
            None => return true,
        }
        let answer = match key.code {
            KeyCode::Char('y') => ApprovalAnswer::AllowOnce,
            KeyCode::Char('a') => ApprovalAnswer::AllowForSession,
            KeyCode::Char('n') | KeyCode::Esc => ApprovalAnswer::Deny { reason: None },
            _ => return true,
        };
        // Not open any more: the run went on meanwhile, and an event says how.
        running.handle.control.answer(pending.id, answer).ok();
        true
    }

    async fn submit(&mut self, text: String) -> Result<Flow, Failure> {
        if let Err(error) = self.history.add(&text) {
            self.view.hint = Some(format!("the history was not saved: {error}"));
        }
        match text.trim() {
            "/quit" | "/exit" => return Ok(Flow::Quit),
            "/help" => {
                let rows: Vec<Line> = HELP.iter().map(|line| Line::styled(line, Style::DIM)).collect();
                self.draw(&rows)?;
            }
            "/new" => self.new_session().await?,
            command
                if command.starts_with('/')
                    && !command.contains(char::is_whitespace)
                    && !command[1..].contains('/') =>
            {
                self.view.hint = Some(format!("{command} is not a command; /help lists them"));
            }
            _ => self.send(text)?,
        }
        Ok(Flow::Continue)
    }

    async fn new_session(&mut self) -> Result<(), Failure> {
        if self.running.is_some() {
            self.view.hint = Some("the agent still works; Ctrl-C stops it".to_owned());
            return Ok(());
        }
        let choice = SessionChoice::New {
            workspace: self.workspace.clone(),
        };
        self.session = self.app.agent.start_session(choice).await?;
        self.view.forget();
        self.draw(&[Line::default(), Line::styled("a new session", Style::DIM)])
    }

    fn send(&mut self, text: String) -> Result<(), Failure> {
        let rows = self.view.prompt(&text);
        if let Some(running) = &self.running {
            match running.handle.control.steer(text.clone()) {
                Ok(()) => return self.draw(&rows),
                Err(error) => {
                    self.view.hint = Some(error.to_string());
                    self.editor.insert(&text);
                    return Ok(());
                }
            }
        }
        if let Err(short) = self.app.admission().check() {
            self.view.hint = Some(short.to_string());
            self.editor.insert(&text);
            return Ok(());
        }
        self.draw(&rows)?;
        let handle = self.session.run(text, self.app.limits.clone());
        self.running = Some(Running {
            handle,
            begun: Instant::now(),
            _working: self.app.working(),
        });
        self.view.busy = Some(Duration::ZERO);
        Ok(())
    }

    /// Takes in what is there, up to a frame's worth, and draws once.
    fn events(&mut self, first: Option<AgentEvent>) -> Result<(), Failure> {
        let mut rows = Vec::new();
        let mut next = first;
        for _ in 0..EVENTS_A_FRAME {
            let Some(event) = next else {
                if let Some(running) = &self.running
                    && running.handle.events.is_closed()
                    && running.handle.events.is_empty()
                {
                    self.running = None;
                    self.view.busy = None;
                    rows.push(Line::styled(
                        "! the run ended without saying how",
                        Style::of(Colour::Red),
                    ));
                }
                break;
            };
            let is_last = matches!(event, AgentEvent::Finished(_));
            rows.extend(self.view.apply(event));
            if is_last {
                self.running = None;
                self.view.hint = None;
                break;
            }
            next = self
                .running
                .as_mut()
                .and_then(|running| running.handle.events.try_recv().ok());
        }
        let pending = self.view.pending().map(|pending| pending.id);
        if self.asked.map(|(id, _)| id) != pending {
            self.asked = pending.map(|id| (id, Instant::now()));
        }
        if rows.is_empty() { Ok(()) } else { self.draw(&rows) }
    }

    fn animates(&self) -> bool {
        self.running.is_some()
    }

    fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        self.view.busy = self.running.as_ref().map(|running| running.begun.elapsed());
    }

    fn draw(&mut self, finished: &[Line]) -> Result<(), Failure> {
        let frame = self.view.frame(&self.editor, self.ticks);
        let screen = &mut self.terminal.screen;
        let drawn = if finished.is_empty() {
            screen.show(frame)
        } else {
            screen.commit(finished, frame)
        };
        drawn.map_err(Failure::output)
    }

    /// Stops what runs and waits until its results are stored.
    async fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.handle.control.cancel();
            while running.handle.events.recv().await.is_some() {}
        }
    }
}
