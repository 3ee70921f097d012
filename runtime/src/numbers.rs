//! Numbers for tests that try many things, the same on every host.

/// xorshift64* (Vigna, 2016), from a seed that is not 0.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, max: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % max
    }

    /// One of `list`.
    pub fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}
