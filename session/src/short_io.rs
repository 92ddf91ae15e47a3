//! Short reads, short writes and refusals on purpose, for tests of the transport (law S1, S3).
//!
//! Off unless a test asks for it by [`ConfigBuilder::inject_short_io`], which is hidden.
//!
//! [`ConfigBuilder::inject_short_io`]: crate::ConfigBuilder::inject_short_io

/// The most bytes of one injected read or write.
pub(crate) const SHORT_BYTES_MAX: usize = 200;

/// A generator of short lengths; the same seed gives the same ones.
#[derive(Debug, Default)]
pub(crate) struct ShortIo(Option<u64>);

impl ShortIo {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        // Zero would stay zero.
        Self(seed.map(|seed| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Marsaglia's xorshift.
    fn next(&mut self) -> Option<u64> {
        let state = self.0.as_mut()?;
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        Some(*state)
    }

    /// Returns how many of `bytes` to take: all of them, or 1 to 200.
    pub(crate) fn cut(&mut self, bytes: usize) -> usize {
        match self.next() {
            Some(number) => bytes.min(1 + number as usize % SHORT_BYTES_MAX),
            None => bytes,
        }
    }

    /// Returns whether to refuse a read for once.
    pub(crate) fn refuses(&mut self) -> bool {
        self.next().is_some_and(|number| number % 10 < 3)
    }
}
