//! The one source of randomness: a ChaCha20 generator whose seed is handed in.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// A generator fit for keys; the actors seed it from the system, the simulator from its seed.
#[derive(Clone, Debug)]
pub struct Prng(ChaCha20Rng);

impl Prng {
    /// From 32 bytes that nobody else knows (or, in a simulation, that everybody does).
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// From a number: for simulations and tests alone.
    #[must_use]
    pub fn from_number(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self::from_seed(bytes)
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`; zero when the bound is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Multiply-shift: its bias is below 2^-32 for every bound that we use.
        u64::try_from((u128::from(self.next_u64()) * u128::from(bound)) >> 64).unwrap_or(0)
    }

    /// True `per_million` times in a million.
    pub fn chance(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < u64::from(per_million)
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A generator of its own for a part, so that what one part draws does not move another.
    #[must_use]
    pub fn branch(&mut self) -> Self {
        Self::from_seed(self.bytes())
    }
}
