//! Output shown while a call still runs: paced and bounded, so that a flood neither fills the event stream nor
//! slows the command down.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::output::complete_chars;

/// At most this often something is shown; faster is not readable.
const INTERVAL: Duration = Duration::from_millis(50);
/// Bytes in one piece: about a screen. What is older by then is skipped.
const PIECE: usize = 4 * 1024;
/// Bytes shown of one call. After that the result at the end has to do.
const TOTAL: usize = 256 * 1024;

/// Where a running call shows its output.
#[derive(Clone, Debug, Default)]
pub struct LiveOutput {
    sender: Option<mpsc::Sender<String>>,
}

impl LiveOutput {
    /// Nobody watches.
    pub fn none() -> Self {
        Self::default()
    }

    /// Shows to the receiver of `sender`. Pieces are dropped, and counted in the next piece, while it is full.
    pub fn new(sender: mpsc::Sender<String>) -> Self {
        Self { sender: Some(sender) }
    }

    pub(super) fn pacer(&self) -> Pacer {
        Pacer {
            sender: self.sender.clone(),
            pending: Vec::new(),
            skipped: 0,
            shown: 0,
            last: None,
        }
    }
}

/// Turns a stream of bytes into few, small pieces of text.
#[derive(Debug)]
pub(super) struct Pacer {
    sender: Option<mpsc::Sender<String>>,
    pending: Vec<u8>,
    skipped: u64,
    shown: usize,
    last: Option<Instant>,
}

impl Pacer {
    /// Takes bytes and shows them if it is time.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.sender.is_none() {
            return;
        }
        self.pending
            .extend_from_slice(&bytes[bytes.len().saturating_sub(PIECE)..]);
        self.skipped += bytes.len().saturating_sub(PIECE) as u64;
        let excess = self.pending.len().saturating_sub(PIECE);
        self.pending.drain(..excess);
        self.skipped += excess as u64;
        if self.last.is_none_or(|last| last.elapsed() >= INTERVAL) {
            self.show(complete_chars(&self.pending));
        }
    }

    /// When held-back bytes are to be shown by [`Pacer::flush`]; none when there are none.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.pending.is_empty()).then(|| self.last.map_or_else(Instant::now, |last| last + INTERVAL))
    }

    /// Shows what is held back.
    pub(super) fn flush(&mut self) {
        self.show(self.pending.len());
    }

    fn show(&mut self, length: usize) {
        let Some(sender) = &self.sender else { return };
        if length == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&self.pending[..length]).into_owned();
        let piece = match self.skipped {
            0 => text,
            skipped => format!("\n… {skipped} bytes not shown …\n{text}"),
        };
        self.last = Some(Instant::now());
        let size = piece.len();
        match sender.try_send(piece) {
            Ok(()) => {
                self.shown += size;
                self.skipped = 0;
            }
            Err(mpsc::error::TrySendError::Full(_)) => self.skipped += length as u64,
            Err(mpsc::error::TrySendError::Closed(_)) => self.sender = None,
        }
        self.pending.drain(..length);
        if self.shown >= TOTAL {
            if let Some(sender) = self.sender.take() {
                // Only a courtesy: a full queue at this moment means that nobody keeps up anyway.
                drop(sender.try_send("\n… no more shown while it runs …\n".to_owned()));
            }
            self.pending = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(receiver: &mut mpsc::Receiver<String>) -> Vec<String> {
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_output_is_shown_at_once_and_the_rest_in_intervals() {
        let (sender, mut receiver) = mpsc::channel(16);
        let mut pacer = LiveOutput::new(sender).pacer();
        pacer.push(b"one ");
        pacer.push(b"two ");
        pacer.push(b"three");
        assert_eq!(received(&mut receiver), ["one "]);
        tokio::time::sleep_until(pacer.due().expect("something is held back")).await;
        pacer.flush();
        assert_eq!(received(&mut receiver), ["two three"]);
        assert_eq!(pacer.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_skipped_counted_and_ends() {
        let (sender, mut receiver) = mpsc::channel(1024);
        let mut pacer = LiveOutput::new(sender).pacer();
        for _ in 0..1000 {
            pacer.push(&[b'y'; 64 * 1024]);
            tokio::time::advance(INTERVAL).await;
        }
        let pieces = received(&mut receiver);
        assert!(pieces.iter().map(String::len).sum::<usize>() < TOTAL + 2 * PIECE);
        assert!(pieces[0].starts_with("\n… 61440 bytes not shown …\n"));
        assert!(pieces.last().expect("a last piece").contains("no more shown"));
        assert_eq!(pacer.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_watcher_holds_nothing_up_and_is_told_what_it_missed() {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut pacer = LiveOutput::new(sender).pacer();
        for piece in ["first", "missed", "after"] {
            if piece == "after" {
                assert_eq!(received(&mut receiver), ["first"]);
            }
            pacer.push(piece.as_bytes());
            tokio::time::advance(INTERVAL).await;
        }
        assert_eq!(received(&mut receiver), ["\n… 6 bytes not shown …\nafter"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_character_cut_between_reads_is_shown_whole() {
        let (sender, mut receiver) = mpsc::channel(16);
        let mut pacer = LiveOutput::new(sender).pacer();
        pacer.push(b"a\xE2\x82");
        tokio::time::advance(INTERVAL).await;
        pacer.push(b"\xAC");
        assert_eq!(received(&mut receiver).concat(), "a€");
    }
}
