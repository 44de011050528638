//! The `chunked` transfer coding. Extensions and trailers are passed over: nobody here acts on them.

use super::Malformed;

/// Bytes of extensions and trailers in one body. Real ones are tens of bytes; without a bound, a body could go on for ever without
/// a byte of it coming out.
const MAX_EXTRAS: usize = 16 << 10;

/// Hexadecimal digits of a size: as many as 64 bits have. Zeros in front count too.
const MAX_DIGITS: u8 = 16;

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    state: State,
    /// Extensions and trailers so far.
    extras: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataReturn,
    DataEnd,
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastEnd,
    Done,
}

const SIZE: State = State::Size { size: 0, digits: 0 };

impl Chunked {
    pub(super) fn new() -> Self {
        Chunked {
            state: SIZE,
            extras: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Moves what `bytes` has of the body to its front. How much that is, and how many bytes were taken in: all, except
    /// behind the end of the body and behind a mistake.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> (usize, usize, Result<(), Malformed>) {
        let (mut kept, mut at) = (0, 0);
        while at < bytes.len() && self.state != State::Done {
            if let State::Data { left } = self.state {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                bytes.copy_within(at..at + here, kept);
                (kept, at) = (kept + here, at + here);
                self.state = match left - here as u64 {
                    0 => State::DataReturn,
                    left => State::Data { left },
                };
                continue;
            }
            match self.step(bytes[at]) {
                Ok(state) => self.state = state,
                Err(error) => return (kept, at, Err(error)),
            }
            at += 1;
        }
        (kept, at, Ok(()))
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        Ok(match (self.state, byte) {
            (State::Size { size, digits }, byte) if byte.is_ascii_hexdigit() => {
                if digits == MAX_DIGITS {
                    return Err(Malformed::ChunkSize);
                }
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => (byte | 0x20) - b'a' + 10,
                };
                State::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                }
            }
            (State::Size { digits: 0, .. }, _) => return Err(Malformed::ChunkSize),
            (State::Size { size, .. } | State::Extension { size }, b'\r') => State::SizeEnd { size },
            // Some servers fill the line up with spaces.
            (State::Size { size, .. }, b';' | b' ' | b'\t') => self.extra(State::Extension { size })?,
            // A line end without its first half is one to some readers and part of the extension to others.
            (State::Extension { .. }, b'\n') => return Err(Malformed::ChunkSize),
            (State::Extension { size }, _) => self.extra(State::Extension { size })?,
            (State::SizeEnd { size: 0 }, b'\n') => State::TrailerStart,
            (State::SizeEnd { size }, b'\n') => State::Data { left: size },
            (State::Size { .. } | State::SizeEnd { .. }, _) => return Err(Malformed::ChunkSize),
            (State::DataReturn, b'\r') => State::DataEnd,
            (State::DataEnd, b'\n') => SIZE,
            (State::TrailerStart, b'\r') => State::LastEnd,
            (State::LastEnd, b'\n') => State::Done,
            (State::TrailerStart | State::Trailer, b'\n') => return Err(Malformed::ChunkEnd),
            (State::Trailer, b'\r') => State::TrailerEnd,
            (State::TrailerStart | State::Trailer, _) => self.extra(State::Trailer)?,
            (State::TrailerEnd, b'\n') => State::TrailerStart,
            (State::DataReturn | State::DataEnd | State::LastEnd | State::TrailerEnd, _) => {
                return Err(Malformed::ChunkEnd);
            }
            // Both are seen to before a step is taken.
            (State::Data { .. } | State::Done, _) => self.state,
        })
    }

    fn extra(&mut self, next: State) -> Result<State, Malformed> {
        self.extras += 1;
        if self.extras > MAX_EXTRAS {
            return Err(Malformed::ChunkExtras { limit: MAX_EXTRAS });
        }
        Ok(next)
    }
}
