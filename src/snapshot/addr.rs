//! An address in the captured process.

use std::fmt;
use std::ops::{Add, Sub};

/// An address in the captured process. Arithmetic wraps: an address computed from hostile bytes must not panic, and
/// is checked when it is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Addr(pub u64);

impl Addr {
    /// The null pointer.
    pub const NULL: Addr = Addr(0);

    /// Whether this is the null pointer.
    pub fn is_null(self) -> bool {
        self.0 == 0
    }

    /// This address moved by a signed distance.
    pub fn offset(self, by: i64) -> Addr {
        Addr(self.0.wrapping_add_signed(by))
    }

    /// Reads `0x7f…` or `7f…`, hex digits in either case.
    pub fn parse(text: &str) -> Option<Addr> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        if digits.starts_with('+') {
            return None; // from_str_radix takes a sign, people's addresses have none
        }
        u64::from_str_radix(digits, 16).ok().map(Addr)
    }
}

impl Add<u64> for Addr {
    type Output = Addr;
    fn add(self, by: u64) -> Addr {
        Addr(self.0.wrapping_add(by))
    }
}

impl Sub<u64> for Addr {
    type Output = Addr;
    fn sub(self, by: u64) -> Addr {
        Addr(self.0.wrapping_sub(by))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl serde::Serialize for Addr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Addr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Addr, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Addr::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not an address")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        assert_eq!(Addr::parse("0x7F00"), Some(Addr(0x7f00)));
        assert_eq!(Addr::parse("7f00"), Some(Addr(0x7f00)));
        assert_eq!(Addr::parse("+7f"), None);
        assert_eq!(Addr::parse(""), None);
        assert_eq!(Addr::parse("0x1_0000_0000_0000_0000"), None);
    }
}
