//! A body in bounded memory, however little of it was on the wire.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    /// By the name in `content-encoding`; `None` for what was not asked for and is not understood.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "" | "identity" => Some(Encoding::Identity),
            "gzip" | "x-gzip" => Some(Encoding::Gzip),
            _ => None,
        }
    }
}

/// Decodes until its limit.
pub(super) struct Decoder {
    inner: Inner,
    cut: bool,
}

enum Inner {
    Identity(Bucket),
    Gzip(Box<MultiGzDecoder<Bucket>>),
}

/// Takes bytes until it is full, and then fails, which stops whoever writes.
struct Bucket {
    bytes: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl Write for Bucket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.limit - self.bytes.len());
        if taken == 0 && !bytes.is_empty() {
            self.is_full = true;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    pub(super) fn new(encoding: Encoding, limit: usize) -> Self {
        let bucket = Bucket {
            bytes: Vec::new(),
            limit,
            is_full: false,
        };
        let inner = match encoding {
            Encoding::Identity => Inner::Identity(bucket),
            Encoding::Gzip => Inner::Gzip(Box::new(MultiGzDecoder::new(bucket))),
        };
        Self { inner, cut: false }
    }

    /// Takes what came; what doesn't fit is left out.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = match &mut self.inner {
            Inner::Identity(bucket) => bucket.write_all(bytes),
            Inner::Gzip(decoder) => decoder.write_all(bytes),
        };
        if self.is_full() { Ok(()) } else { written }
    }

    /// Whether something was left out.
    pub(super) fn is_full(&self) -> bool {
        match &self.inner {
            Inner::Identity(bucket) => bucket.is_full,
            Inner::Gzip(decoder) => decoder.get_ref().is_full,
        }
    }

    /// Nothing more will be pushed although there is more.
    pub(super) fn cut(&mut self) {
        self.cut = true;
    }

    /// What was decoded, and whether something was left out.
    pub(super) fn finish(self) -> io::Result<(Vec<u8>, bool)> {
        let cut = self.cut || self.is_full();
        let bytes = match self.inner {
            Inner::Identity(bucket) => bucket.bytes,
            Inner::Gzip(mut decoder) => {
                let finished = decoder.try_finish();
                if !cut && !decoder.get_ref().is_full {
                    finished?;
                }
                let bucket = decoder.get_mut();
                return Ok((std::mem::take(&mut bucket.bytes), cut || bucket.is_full));
            }
        };
        Ok((bytes, cut))
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(encoding: Encoding, bytes: &[u8], limit: usize) -> io::Result<(Vec<u8>, bool)> {
        let mut decoder = Decoder::new(encoding, limit);
        for piece in bytes.chunks(7) {
            decoder.push(piece)?;
            if decoder.is_full() {
                break;
            }
        }
        decoder.finish()
    }

    #[test]
    fn what_fits_comes_out_whole_and_of_more_the_beginning() {
        let text = b"a page of some length".repeat(10);
        for (encoding, bytes) in [(Encoding::Identity, text.clone()), (Encoding::Gzip, gzip(&text))] {
            for limit in [text.len(), text.len() + 1] {
                assert_eq!(
                    decode(encoding, &bytes, limit).unwrap(),
                    (text.clone(), false),
                    "{encoding:?} {limit}"
                );
            }
            assert_eq!(
                decode(encoding, &bytes, 5).unwrap(),
                (b"a pag".to_vec(), true),
                "{encoding:?}"
            );
        }
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(decode(Encoding::Gzip, &two, 100).unwrap().0, b"one two");
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_limit() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        let mut decoder = Decoder::new(Encoding::Gzip, 1000);
        decoder.push(&bomb).unwrap();
        assert!(decoder.is_full());
        let (bytes, cut) = decoder.finish().unwrap();
        assert!(cut && bytes.len() == 1000 && bytes.capacity() < 100_000);
    }

    #[test]
    fn damaged_data_is_an_error() {
        let good = gzip(b"a page of some length");
        assert!(
            decode(Encoding::Gzip, &good[..good.len() - 6], 100).is_err(),
            "cut off"
        );
        assert!(decode(Encoding::Gzip, b"this is not gzip at all", 100).is_err());
        for (name, expected) in [
            ("br", None),
            ("gzip, gzip", None),
            ("identity", Some(Encoding::Identity)),
        ] {
            assert_eq!(Encoding::named(name), expected);
        }
    }
}
