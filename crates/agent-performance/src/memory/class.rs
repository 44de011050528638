//! The size classes: which one serves a request, and which one a capacity covers.

const KIB: usize = 1024;

/// Capacities of the classes, smallest first. Each is four times the one before, so that a request wastes at most
/// three quarters, and six of them reach from a small JSON body to the largest tool output.
pub const SIZE_CLASSES: [usize; 6] = [KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB];

/// Requests above this are served, and not kept.
pub const LARGEST_CLASS: usize = SIZE_CLASSES[SIZE_CLASSES.len() - 1];

/// The largest buffer that is made, 1 GiB. Nothing in the product needs a fraction of it; a larger request is a
/// mistake or an attack, and to try it could end the process.
pub const MAX_REQUEST: usize = 1024 * 1024 * KIB;

/// Where what belongs to no class is accounted for.
pub(super) const OUTSIZE: usize = SIZE_CLASSES.len();

/// A shelf's number and the capacity to allocate for a request, or `None` above [`MAX_REQUEST`].
pub(super) fn for_request(min_size: usize) -> Option<(usize, usize)> {
    if let Some(class) = SIZE_CLASSES.iter().position(|size| *size >= min_size) {
        return Some((class, SIZE_CLASSES[class]));
    }
    (min_size <= MAX_REQUEST).then(|| (OUTSIZE, min_size.next_multiple_of(LARGEST_CLASS)))
}

/// The largest class whose requests this capacity can serve, or `None` when it is too small or outgrew them all.
pub(super) fn covered_by(capacity: usize) -> Option<usize> {
    if capacity > LARGEST_CLASS {
        return None;
    }
    SIZE_CLASSES.iter().rposition(|size| *size <= capacity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_request_gets_enough_and_a_class_is_never_more_than_its_buffers(size in 0..=MAX_REQUEST, small in 0..2 * LARGEST_CLASS) {
            for size in [size, small] {
                let (class, capacity) = for_request(size).expect("within the limit");
                prop_assert!(capacity >= size);
                prop_assert_eq!(class == OUTSIZE, size > LARGEST_CLASS);
                prop_assert!(class == OUTSIZE || covered_by(capacity) == Some(class));
                prop_assert!(covered_by(size).is_none_or(|class| SIZE_CLASSES[class] <= size));
            }
        }
    }

    #[test]
    fn the_edges() {
        for (size, expected) in [
            (0, Some((0, KIB))),
            (KIB, Some((0, KIB))),
            (KIB + 1, Some((1, 4 * KIB))),
            (LARGEST_CLASS, Some((5, LARGEST_CLASS))),
            (LARGEST_CLASS + 1, Some((OUTSIZE, 2 * LARGEST_CLASS))),
            (MAX_REQUEST, Some((OUTSIZE, MAX_REQUEST))),
            (MAX_REQUEST + 1, None),
            (usize::MAX, None),
        ] {
            assert_eq!(for_request(size), expected, "{size}");
        }
        for (capacity, expected) in [
            (0, None),
            (KIB - 1, None),
            (KIB, Some(0)),
            (4 * KIB - 1, Some(0)),
            (LARGEST_CLASS, Some(5)),
            (LARGEST_CLASS + 1, None),
        ] {
            assert_eq!(covered_by(capacity), expected, "{capacity}");
        }
    }
}
