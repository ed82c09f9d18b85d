//! Mutations of bytes, drawn from a number: the same each time.

/// xorshift: reproducible noise.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % (n as u64).max(1)) as usize
    }
}

/// A copy of `bytes` with a few changes: bits flipped, words made absurd, pieces cut, doubled, moved, the end lost.
pub fn mutated(bytes: &[u8], noise: &mut Noise) -> Vec<u8> {
    const ABSURD: [u64; 8] =
        [0, 1, u64::MAX, i64::MAX as u64, 1 << 47, 1 << 40, u32::MAX as u64, 0xffff_8000_0000_0000];
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + noise.below(4) {
        let len = bytes.len();
        // beginnings hold what matters more often than not
        let at = if noise.below(2) == 0 { noise.below(len.min(256)) } else { noise.below(len) };
        match noise.below(8) {
            0 | 1 if len > 0 => bytes[at] ^= 1 << noise.below(8),
            2 if len > 0 => bytes[at] = noise.next() as u8,
            3 | 4 if len >= 8 => {
                let at = at.min(len - 8) & !7;
                let word = if noise.below(4) == 0 { noise.next() } else { ABSURD[noise.below(ABSURD.len())] };
                bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
            5 => bytes.truncate(at),
            6 => {
                let piece = bytes[at..len.min(at + 1 + noise.below(64))].to_vec();
                let to = noise.below(len + 1);
                bytes.splice(to..to, piece);
            }
            _ if len > 0 => drop(bytes.drain(at..len.min(at + 1 + noise.below(32)))),
            _ => {}
        }
    }
    bytes
}
