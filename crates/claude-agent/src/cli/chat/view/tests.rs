use agent_core::{ApprovalAnswer, ErrorKind, ErrorReport, PlanStatus, ResolvedBy, UsageTotals};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::cli::chat::editor::Editor;
use crate::cli::chat::history::History;
use crate::cli::styled::columns;

fn view() -> View {
    View::new(
        "claude-opus-5-5".to_owned(),
        Some("0199a1b2-aaaa".to_owned()),
        60,
        24,
    )
}

fn texts(rows: &[Line]) -> Vec<String> {
    rows.iter().map(Line::text).collect()
}

fn requested(id: &str, summary: &str) -> AgentEvent {
    AgentEvent::ToolRequested {
        id: id.into(),
        name: "read_file".into(),
        input: json!({}),
        summary: summary.into(),
    }
}

fn finished_tool(id: &str, output: &str, is_error: bool) -> AgentEvent {
    AgentEvent::ToolFinished {
        id: id.into(),
        name: "read_file".into(),
        is_error,
        output: output.into(),
        truncated: false,
        duration_ms: 5,
    }
}

fn delta(text: &str) -> AgentEvent {
    AgentEvent::TextDelta { text: text.into() }
}

#[test]
fn whole_paragraphs_are_committed_and_the_rest_stays_in_the_region() {
    let mut view = view();
    assert!(view.apply(delta("First par")).is_empty());
    assert_eq!(
        texts(&view.apply(delta("agraph.\n\nSecond"))),
        ["", "First paragraph."]
    );
    let region = texts(&view.frame(&Editor::default(), 0).rows);
    assert!(region.contains(&"Second".to_owned()), "{region:?}");
    assert!(!region.contains(&"First paragraph.".to_owned()));
}

#[test]
fn text_before_a_tool_is_committed_before_its_card() {
    let mut view = view();
    view.apply(delta("I will look."));
    assert_eq!(
        texts(&view.apply(requested("1", "read a.txt"))),
        ["", "I will look."]
    );
    view.apply(AgentEvent::ToolStarted { id: "1".into() });
    assert!(
        texts(&view.frame(&Editor::default(), 0).rows)
            .iter()
            .any(|row| row.contains("read a.txt"))
    );
    let card = texts(&view.apply(finished_tool("1", "one\ntwo", false)));
    assert_eq!(card, ["", "● read a.txt", "  │ one", "  │ two"]);
    assert!(
        !texts(&view.frame(&Editor::default(), 0).rows)
            .iter()
            .any(|row| row.contains("read a.txt"))
    );
}

#[test]
fn long_outputs_are_cut_and_say_so() {
    let mut view = view();
    view.apply(requested("1", "run seq"));
    let output = (0..50).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    let card = texts(&view.apply(finished_tool("1", &output, true)));
    assert_eq!(card.last().unwrap(), "  │ … 44 more lines");
    assert!(card[1].starts_with("✗ "));
}

#[test]
fn an_approval_replaces_the_input_until_it_is_resolved() {
    let mut view = view();
    view.apply(AgentEvent::ApprovalRequested {
        approval_id: ApprovalId(7),
        tool_use_id: "1".into(),
        tool: "bash".into(),
        summary: "run make".into(),
        reason: "not on the list of known commands".into(),
        detail: Some("make all".into()),
    });
    assert_eq!(view.pending().unwrap().id, ApprovalId(7));
    let region = texts(&view.frame(&Editor::default(), 0).rows);
    assert!(
        region.iter().any(|row| row.contains("run make"))
            && region.iter().any(|row| row.contains("[y] once"))
    );
    view.apply(AgentEvent::ApprovalResolved {
        approval_id: ApprovalId(7),
        answer: ApprovalAnswer::AllowOnce,
        by: ResolvedBy::User,
    });
    assert!(view.pending().is_none());
}

#[test]
fn a_restarted_turn_drops_what_was_not_committed() {
    let mut view = view();
    view.apply(delta("half of an ans"));
    let notice = texts(&view.apply(AgentEvent::TurnRestarted {
        reason: "connection reset".into(),
    }));
    assert!(
        notice[0].contains("connection reset") && !notice[0].contains("void"),
        "{notice:?}"
    );
    assert!(
        !texts(&view.frame(&Editor::default(), 0).rows)
            .iter()
            .any(|row| row.contains("half of"))
    );
}

#[test]
fn the_end_of_a_run_tells_errors_with_their_advice() {
    let mut view = view();
    view.busy = Some(Duration::from_secs(3));
    let rows = view.apply(AgentEvent::Finished(Finished {
        outcome: Outcome::Misconfigured,
        session_id: "s".into(),
        turns: 0,
        text: String::new(),
        usage: UsageTotals::default(),
        cost_usd: None,
        duration_ms: 1,
        error: Some(ErrorReport {
            kind: ErrorKind::Authentication,
            message: "the API refused the key".into(),
            advice: "set ANTHROPIC_API_KEY".into(),
        }),
    }));
    assert_eq!(
        texts(&rows),
        ["! the API refused the key", "  set ANTHROPIC_API_KEY"]
    );
    assert!(view.busy.is_none());
}

#[test]
fn the_cursor_is_where_the_next_character_goes() {
    let view = view();
    let history = History::in_memory(&[]);
    for (typed, row, column) in [("", 0, 2), ("abc", 0, 5), ("日本", 0, 6), ("a\nbc", 1, 4)] {
        let mut editor = Editor::default();
        editor.insert(typed);
        let frame = view.frame(&editor, 0);
        // One blank row stands above the input.
        assert_eq!(frame.cursor, (1 + row, column), "{typed:?}");
    }
    let mut editor = Editor::default();
    editor.insert(&"x".repeat(100));
    let frame = view.frame(&editor, 0);
    assert_eq!(
        frame.cursor,
        (2, 2 + 100 - 57),
        "the text goes on in the next row"
    );
    editor.key(KeyEvent::new(KeyCode::Home, KeyModifiers::NONE), &history);
    assert_eq!(view.frame(&editor, 0).cursor, (1, 2));
}

proptest! {
    /// Whatever happens, the region fits the terminal and the cursor stands in it.
    #[test]
    fn the_region_always_fits(
        kinds in proptest::collection::vec((0usize..7, "[a-z\n `#é日]{0,80}"), 0..40),
        width in 24usize..100,
        height in 8usize..40,
        typed in "[a-z\n日]{0,200}",
    ) {
        let mut view = view();
        view.resize(width, height);
        view.busy = Some(Duration::ZERO);
        let mut editor = Editor::default();
        editor.insert(&typed);
        for (number, (kind, text)) in kinds.into_iter().enumerate() {
            let id = (number % 5).to_string();
            let rows = view.apply(match kind {
                0 => delta(&text),
                1 => requested(&id, &text),
                2 => AgentEvent::ToolStarted { id },
                3 => AgentEvent::ToolOutput { id, text },
                4 => finished_tool(&id, &text, false),
                5 => AgentEvent::ApprovalRequested {
                    approval_id: ApprovalId(number as u64),
                    tool_use_id: id,
                    tool: "bash".into(),
                    summary: text.clone(),
                    reason: text.clone(),
                    detail: Some(text),
                },
                _ => AgentEvent::PlanUpdated { items: vec![PlanItem { step: text, status: PlanStatus::Pending }; 12] },
            });
            let frame = view.frame(&editor, number);
            prop_assert!(frame.rows.len() < height.max(4), "{} rows of {height}", frame.rows.len());
            prop_assert!(frame.cursor.0 < frame.rows.len());
            for row in rows.iter().chain(&frame.rows) {
                prop_assert!(columns(&row.text()) < width, "{:?}", row.text());
            }
        }
    }
}
