//! The buffer pool against fresh allocation, by class: one buffer at a time, and in bursts of 64 live ones.
//!
//! Every buffer is touched as a user would: one byte is written to each page of 4 KiB, so that memory which the
//! kernel has yet to provide is paid for. What follows (copying data in) costs the same in all cases and is left out.

use std::hint::black_box;

use agent_performance::memory::{MemoryPool, PoolConfig, ResourceTracker, SIZE_CLASSES};
use bytes::BytesMut;

use super::support::{Figure, by_turns, print};

/// Live buffers of a burst: as many as a busy agent's parallel tools and streams hold, times two.
const BURST: usize = 64;

/// Bytes handed out in one turn: enough to take some milliseconds in every class.
const TURN: usize = 64 * 1024 * 1024;

/// Buffers handed out in one turn at least and at most.
const TURN_BUFFERS: (usize, usize) = (1024, 65536);

const PAGE: usize = 4096;

/// From this class on the pool is used where many buffers are alive at once. Below, the allocator keeps freed memory
/// itself and is faster; from here on it gives it back to the kernel and must be given it again, page by page.
const INSTEAD_OF_FRESH_FROM: usize = 256 * 1024;

/// Whether the allocator gives 256 KiB back at once depends on what the process freed before: then the pool is 100
/// times as fast, and else the two are equal but for what a turn varies by.
const AT_WORST: f64 = 0.9;

/// From this class on the pool is used where a buffer would be filled with zeros first, also one at a time.
const INSTEAD_OF_ZEROED_FROM: usize = 16 * 1024;

pub(crate) fn run() {
    for class in SIZE_CLASSES {
        for burst in [1, BURST] {
            compare(class, burst);
        }
    }
    contended();
    tracked();
}

trait Contender {
    type Buffer;
    fn get(&self, size: usize) -> Self::Buffer;
}

struct Fresh;
struct Zeroed;

impl Contender for MemoryPool {
    type Buffer = agent_performance::memory::PooledBuffer;

    fn get(&self, size: usize) -> Self::Buffer {
        let mut buffer = self.get_buffer(size);
        touch(&mut buffer, size);
        buffer
    }
}

impl Contender for Fresh {
    type Buffer = BytesMut;

    fn get(&self, size: usize) -> BytesMut {
        let mut buffer = BytesMut::with_capacity(size);
        touch(&mut buffer, size);
        buffer
    }
}

impl Contender for Zeroed {
    type Buffer = Vec<u8>;

    fn get(&self, size: usize) -> Vec<u8> {
        let mut buffer = vec![0; size];
        for at in (0..size).step_by(PAGE) {
            buffer[at] = 1;
        }
        black_box(buffer)
    }
}

/// Writes a byte to each page, without giving the others a value.
fn touch(buffer: &mut BytesMut, size: usize) {
    let spare = &mut buffer.spare_capacity_mut()[..size];
    for at in (0..size).step_by(PAGE) {
        spare[at].write(1);
    }
    black_box(spare.as_mut_ptr());
}

/// Gets, touches and gives back `buffers` of them, `burst` alive at a time.
fn turn<C: Contender>(contender: &C, size: usize, burst: usize) {
    let mut live = Vec::with_capacity(burst);
    for _ in 0..buffers(size) / burst {
        live.extend((0..burst).map(|_| contender.get(size)));
        live.clear();
    }
}

/// Buffers of a turn, a whole number of bursts.
fn buffers(size: usize) -> usize {
    (TURN / size).clamp(TURN_BUFFERS.0, TURN_BUFFERS.1)
}

/// The medians of both, in nanoseconds a buffer.
fn nanos(ours: impl FnMut(), baseline: impl FnMut(), size: usize) -> (f64, f64) {
    let (ours, baseline) = by_turns(ours, baseline);
    let each = 1e9 / buffers(size) as f64;
    (ours * each, baseline * each)
}

fn compare(size: usize, burst: usize) {
    let pool = pool(None);
    let ours = || turn(&pool, size, burst);
    let kib = size / 1024;
    let live = if burst == 1 { "alone" } else { "burst_of_64" };
    let fresh = nanos(ours, || turn(&Fresh, size, burst), size);
    let zeroed = nanos(ours, || turn(&Zeroed, size, burst), size);
    // Where the pool is used it must win; where it would not, it isn't used, and the figure shows why.
    let instead_of_fresh = burst > 1 && size >= INSTEAD_OF_FRESH_FROM;
    let instead_of_zeroed = size >= INSTEAD_OF_ZEROED_FROM;
    for (against, (ours, baseline), used) in [
        ("fresh", fresh, instead_of_fresh),
        ("zeroed", zeroed, instead_of_zeroed),
    ] {
        print(Figure {
            name: format!("pool_{against}_{kib}_kib_{live}").leak(),
            ours,
            baseline,
            unit: "ns",
            ratio: baseline / ours,
            need: match (used, against) {
                (true, "fresh") => AT_WORST..=f64::INFINITY,
                (true, _) => 1.0..=f64::INFINITY,
                (false, _) => 0.0..=f64::INFINITY,
            },
            includes: "a buffer got, one byte written to each of its pages, and given back, by the pool and by the \
                       system's allocator; ratio: how many times as fast; median of 15 turns. Classes and uses \
                       without a need do without the pool",
        });
    }
}

fn pool(tracker: Option<ResourceTracker>) -> MemoryPool {
    MemoryPool::with_config(PoolConfig {
        // Holds the largest burst; or the budget would be measured.
        budget: 256 * 1024 * 1024,
        tracker,
        ..PoolConfig::default()
    })
}

/// Two threads that want the same class all the time.
fn contended() {
    let size = 256 * 1024;
    let pool = pool(None);
    let both = |work: &(dyn Fn() + Sync)| {
        std::thread::scope(|scope| {
            scope.spawn(work);
            work();
        });
    };
    let (ours, baseline) = nanos(
        || both(&|| turn(&pool, size, BURST)),
        || both(&|| turn(&Fresh, size, BURST)),
        size,
    );
    print(Figure {
        name: "pool_fresh_256_kib_burst_of_64_two_threads",
        ours,
        baseline,
        unit: "ns",
        ratio: baseline / ours,
        need: 1.0..=f64::INFINITY,
        includes: "as above, by two threads at once with one pool, whose places are fewer than they hold together",
    });
}

/// What it costs to know of every buffer by itself.
fn tracked() {
    let size = 16 * 1024;
    let (plain, known) = (pool(None), pool(Some(ResourceTracker::new())));
    let (ours, baseline) = nanos(|| turn(&known, size, BURST), || turn(&plain, size, BURST), size);
    print(Figure {
        name: "pool_tracked",
        ours,
        baseline,
        unit: "ns",
        ratio: ours / baseline,
        need: 0.0..=10.0,
        includes: "16 KiB in bursts of 64, each buffer with its age in the resource tracker, so that one never \
                   returned is named; the baseline is the same pool without a tracker",
    });
}
