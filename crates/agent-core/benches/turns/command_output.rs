//! What the output of commands costs in memory work: pooled buffers against fresh ones.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Instant;

use agent_core::tools::HeadTail;
use agent_performance::memory::{MemoryPool, PooledBuffer};

use super::{Figure, median, print};

/// Commands at once, as many as run in parallel.
const AT_ONCE: usize = 8;

/// Commands of a round.
const COMMANDS: usize = 4096;

const ROUNDS: usize = 15;

/// Bytes read at once.
const BLOCK: usize = 64 * 1024;

/// Bytes that are kept, half of them from the beginning.
const KEPT: usize = 64 * 1024;

/// A command that prints so many bytes.
trait Command: Sized {
    fn begin(pool: &MemoryPool) -> Self;
    fn print(&mut self, bytes: &[u8]);
    fn end(self) -> String;
}

/// As the product does it.
struct Pooled {
    block: PooledBuffer,
    kept: HeadTail,
}

impl Command for Pooled {
    fn begin(pool: &MemoryPool) -> Self {
        Self {
            block: pool.get_buffer(BLOCK),
            kept: HeadTail::pooled(KEPT, pool),
        }
    }

    fn print(&mut self, bytes: &[u8]) {
        self.block.clear();
        self.block.extend_from_slice(bytes);
        self.kept.push(black_box(&self.block));
    }

    fn end(self) -> String {
        self.kept.finish().text
    }
}

/// A zeroed block, and vectors that grow as they are filled.
struct Fresh {
    block: Vec<u8>,
    head: Vec<u8>,
    tail: VecDeque<u8>,
}

impl Command for Fresh {
    fn begin(_: &MemoryPool) -> Self {
        Self {
            block: vec![0; BLOCK],
            head: Vec::new(),
            tail: VecDeque::new(),
        }
    }

    fn print(&mut self, bytes: &[u8]) {
        self.block[..bytes.len()].copy_from_slice(bytes);
        let bytes = black_box(&self.block[..bytes.len()]);
        let half = KEPT / 2;
        let (first, rest) = bytes.split_at(bytes.len().min(half - self.head.len()));
        self.head.extend_from_slice(first);
        let rest = &rest[rest.len().saturating_sub(half)..];
        let excess = (self.tail.len() + rest.len()).saturating_sub(half);
        self.tail.drain(..excess);
        self.tail.extend(rest);
    }

    fn end(self) -> String {
        let mut all = self.head;
        all.extend_from_slice(&Vec::from(self.tail));
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// Seconds for one command.
fn round<C: Command>(pool: &MemoryPool, printed: &[u8]) -> f64 {
    let begun = Instant::now();
    for _ in 0..COMMANDS / AT_ONCE {
        let mut running: Vec<C> = (0..AT_ONCE).map(|_| C::begin(pool)).collect();
        for block in printed.chunks(BLOCK) {
            running.iter_mut().for_each(|command| command.print(block));
        }
        running
            .into_iter()
            .for_each(|command| _ = black_box(command.end()));
    }
    begun.elapsed().as_secs_f64() / COMMANDS as f64
}

pub(crate) fn measure() {
    let pool = MemoryPool::new();
    let texts = [
        (
            "what a command prints, 1 KiB of it: pooled buffers against fresh ones",
            1024,
        ),
        (
            "what a command prints, 256 KiB of it: pooled buffers against fresh ones",
            256 * 1024,
        ),
    ];
    for (name, bytes) in texts {
        let printed = vec![b'y'; bytes];
        let (mut ours, mut baseline) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(round::<Pooled>(&pool, &printed) * 1e9);
            baseline.push(round::<Fresh>(&pool, &printed) * 1e9);
        }
        let ratio = median(ours.iter().zip(&baseline).map(|(ours, fresh)| fresh / ours));
        print(&Figure {
            name,
            ours: median(ours),
            baseline: Some(median(baseline)),
            unit: "ns",
            ratio: Some(ratio),
            need: "ratio >= 1".to_owned(),
            ok: ratio >= 1.0,
            includes: format!(
                "a block of 64 KiB to read into, head and tail of 64 KiB kept, and the text at the end, for each of {AT_ONCE} \
                 commands at once; not the command itself. Fresh: a zeroed block and vectors that grow"
            ),
        });
    }
}
