//! A count of values by size, in buckets that are never wider than 1/64 of what they hold.
//!
//! The bucket of a value is the exponent and the first six bits of the fraction of its floating-point form, so that
//! finding it costs a shift, and fractions of a millisecond are as well resolved as hours.

/// Bits of the fraction that choose the bucket. Six: a bucket's middle is within 1/128 = 0.78 % of every value in it.
const FRACTION_BITS: u32 = 6;

/// Buckets for each doubling of the value.
const PER_OCTAVE: i32 = 1 << FRACTION_BITS;

/// Magnitudes below 2⁻³⁰ (10⁻⁹: of a millisecond, a femtosecond's thousandth) count as zero.
const SMALLEST_EXPONENT: i32 = -30;

/// Doublings told apart: up to 2⁵⁰ (10¹⁵: a petabyte, or 35,000 years in milliseconds). Larger values share the last
/// bucket. Together with the sign this bounds a sketch at 10,241 buckets, whatever is recorded.
const OCTAVES: i32 = 80;

const SHIFT: u32 = 52 - FRACTION_BITS;
const FIRST: i32 = (1023 + SMALLEST_EXPONENT) * PER_OCTAVE;
const LAST: i32 = OCTAVES * PER_OCTAVE;

/// The bucket of a finite value: 0 for zero, negative for negative values; grows with the value.
#[inline]
pub(crate) fn bucket_of(value: f64) -> i32 {
    let exponent_and_fraction = (value.abs().to_bits() >> SHIFT) as i32;
    let magnitude = (exponent_and_fraction - FIRST + 1).clamp(0, LAST);
    if value < 0.0 { -magnitude } else { magnitude }
}

/// The middle of a bucket.
pub(crate) fn middle_of(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let bits = (i64::from(bucket.abs() - 1 + FIRST) as u64) << SHIFT;
    let middle = f64::from_bits(bits | 1 << (SHIFT - 1));
    if bucket < 0 { -middle } else { middle }
}

/// The counts of the open window: sixteen bits for each bucket between the smallest and the largest seen, because most
/// series never need more, and what the few need is carried aside.
#[derive(Debug, Default)]
pub(crate) struct Sketch {
    first: i32,
    counts: Vec<u16>,
    /// Bucket and the upper half of its count, for counts that have one.
    carried: Vec<(i32, u16)>,
}

impl Sketch {
    #[inline]
    pub(crate) fn add(&mut self, bucket: i32, count: u32) {
        let offset = bucket.wrapping_sub(self.first) as usize;
        let slot = match self.counts.get_mut(offset) {
            Some(slot) => slot,
            None => self.make_room(bucket),
        };
        let sum = u64::from(*slot) + u64::from(count);
        *slot = sum as u16;
        if sum > u64::from(u16::MAX) {
            self.carry(bucket, (sum >> 16) as u32);
        }
    }

    #[cold]
    fn carry(&mut self, bucket: i32, more: u32) {
        // Four thousand million values in one bucket of one window are enough: the share of the rest is then nothing.
        let add = |upper: u16| u32::from(upper).saturating_add(more).min(u32::from(u16::MAX)) as u16;
        match self.carried.iter_mut().find(|(carried, _)| *carried == bucket) {
            Some((_, upper)) => *upper = add(*upper),
            None => self.carried.push((bucket, add(0))),
        }
    }

    #[cold]
    fn make_room(&mut self, bucket: i32) -> &mut u16 {
        // Whole octaves, so that values which drift slowly do not move the counts each time.
        let octave = bucket.div_euclid(PER_OCTAVE) * PER_OCTAVE;
        if self.counts.is_empty() {
            self.first = octave;
        }
        if octave < self.first {
            let more = (self.first - octave) as usize;
            self.counts.reserve_exact(more);
            self.counts.splice(0..0, std::iter::repeat_n(0, more));
            self.first = octave;
        }
        let needed = (octave + PER_OCTAVE - self.first) as usize;
        if needed > self.counts.len() {
            self.counts.reserve_exact(needed - self.counts.len());
            self.counts.resize(needed, 0);
        }
        &mut self.counts[(bucket - self.first) as usize]
    }

    /// Buckets that hold something, in order of their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i32, u32)> + '_ {
        (self.first..)
            .zip(&self.counts)
            .map(|(bucket, &lower)| (bucket, self.upper_of(bucket) | u32::from(lower)))
            .filter(|&(_, count)| count > 0)
    }

    fn upper_of(&self, bucket: i32) -> u32 {
        let carried = self.carried.iter().find(|(carried, _)| *carried == bucket);
        carried.map_or(0, |&(_, upper)| u32::from(upper) << 16)
    }

    /// Forgets the counts and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.counts.clear();
        self.carried.clear();
    }
}

/// The counts of a closed window: pairs of numbers in as few bytes as they need, about two for a bucket.
#[derive(Debug, Default)]
pub(crate) struct Packed(Box<[u8]>);

impl Packed {
    pub(crate) fn from_sketch(sketch: &Sketch) -> Self {
        let mut bytes = Vec::new();
        let mut last = -LAST;
        for (bucket, count) in sketch.iter() {
            put(&mut bytes, (bucket - last) as u32);
            put(&mut bytes, count);
            last = bucket;
        }
        Packed(bytes.into_boxed_slice())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i32, u32)> + '_ {
        let mut rest = &self.0[..];
        let mut bucket = -LAST;
        std::iter::from_fn(move || {
            let step = take(&mut rest)?;
            bucket += step as i32;
            Some((bucket, take(&mut rest)?))
        })
    }
}

/// Seven bits to a byte, the lowest first; the top bit says that more follow.
fn put(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
        shift += 7;
    }
}
