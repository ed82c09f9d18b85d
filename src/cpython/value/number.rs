//! Integers of any size in decimal, and `decimal.Decimal`.

use super::{Memory, Value};
use crate::cpython::memory::MAX_ITEMS;
use crate::snapshot::Addr;

/// More decimal digits than this are not worked out: the time grows with their square.
const MAX_DIGITS: usize = 10_000;

/// Bits of an int's digit.
const SHIFT: u64 = 30;

impl Memory<'_> {
    /// The int at `addr`, exact up to `max` decimal digits (and no more than ten thousand).
    pub(super) fn int_value(&self, addr: Addr, max: usize) -> Option<Value> {
        if let Some(small) = self.small_int(addr) {
            return Some(Value::Int(small.to_string()));
        }
        let (count, sign) = self.int_digits(addr).filter(|(count, _)| *count < MAX_ITEMS)?;
        let first = addr + self.layout.structs.long.ob_digit;
        let digit = |i: u64| self.reader.u32(first + i * 4).map(|d| d & 0x3fff_ffff);
        let high = count.checked_sub(1)?;
        let top = f64::from(digit(high)?) * (1u64 << SHIFT) as f64
            + high.checked_sub(1).and_then(digit).map_or(0.0, f64::from);
        let places = top.max(1.0).log10() + (high as f64 - 1.0) * SHIFT as f64 * std::f64::consts::LOG10_2;
        let digits = places.max(0.0) as u64 + 1;
        if digits > max.min(MAX_DIGITS) as u64 {
            return Some(Value::BigInt { negative: sign < 0, digits });
        }
        let limbs = (0..count).map(digit).collect::<Option<Vec<u32>>>()?;
        let text = decimal(limbs);
        Some(Value::Int(if sign < 0 { format!("-{text}") } else { text }))
    }

    /// The int at `addr` in decimal; `10**40`-like text where it is too long.
    pub(super) fn decimal_text(&self, addr: Addr, max: usize) -> Option<String> {
        Some(match self.int_value(addr, max.max(40))? {
            Value::Int(text) => text,
            Value::BigInt { negative, digits } => {
                format!("{}…({digits} digits)", if negative { "-" } else { "" })
            }
            _ => return None,
        })
    }

    /// The 128 bits of an int, as a UUID has them.
    pub(super) fn u128(&self, addr: Addr) -> Option<u128> {
        let (count, sign) = self.int_digits(addr)?;
        let mut value = 0u128;
        for i in (0..count.min(5)).rev() {
            let digit = self.reader.u32(addr + self.layout.structs.long.ob_digit + i * 4)? & 0x3fff_ffff;
            value = value.checked_mul(1 << SHIFT)?.checked_add(u128::from(digit))?;
        }
        (count <= 5 && sign >= 0).then_some(value)
    }

    /// What `str()` of a `decimal.Decimal` says (`Modules/_decimal/libmpdec`, `mpd_to_sci`).
    pub(super) fn decimal_value(&self, addr: Addr, max: usize) -> Option<String> {
        const NEGATIVE: u8 = 1;
        const INFINITE: u8 = 2;
        const NAN: u8 = 4;
        const SIGNALING: u8 = 8;
        /// Digits of a word: `MPD_RDIGITS`.
        const WORD_DIGITS: usize = 19;
        let d = &self.layout.structs.decimal;
        let flags = self.reader.u8(addr + d.dec_flags)?;
        let sign = if flags & NEGATIVE != 0 { "-" } else { "" };
        if flags & INFINITE != 0 {
            return Some(format!("{sign}Infinity"));
        }
        let words = self.reader.u64(addr + d.dec_len)?;
        let data = self.reader.pointer(addr + d.dec_data)?;
        let fits = words.saturating_mul(WORD_DIGITS as u64) <= (max.max(100) + WORD_DIGITS) as u64;
        if !fits {
            return Some(format!("{sign}…({} digits)", words.saturating_mul(WORD_DIGITS as u64)));
        }
        let mut digits = String::new();
        for i in (0..words).rev() {
            digits.push_str(&format!("{:019}", self.reader.u64(data + i * 8)?));
        }
        let digits = digits.trim_start_matches('0');
        if flags & (NAN | SIGNALING) != 0 {
            return Some(format!("{sign}{}NaN{digits}", if flags & SIGNALING != 0 { "s" } else { "" }));
        }
        let digits = if digits.is_empty() { "0" } else { digits };
        let exponent = self.reader.i64(addr + d.dec_exp)?;
        Some(format!("{sign}{}", scientific(digits, exponent)?))
    }
}

/// The digits with their point, by the rules of the General Decimal Arithmetic specification (`to-scientific-string`).
fn scientific(digits: &str, exponent: i64) -> Option<String> {
    let len = i64::try_from(digits.len()).ok()?;
    let adjusted = exponent.checked_add(len - 1)?;
    if exponent <= 0 && adjusted >= -6 {
        if exponent == 0 {
            return Some(digits.to_owned());
        }
        let point = len + exponent;
        if point > 0 {
            let (whole, part) = digits.split_at(usize::try_from(point).ok()?);
            return Some(format!("{whole}.{part}"));
        }
        return Some(format!("0.{}{digits}", "0".repeat(usize::try_from(-point).ok()?)));
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if adjusted < 0 { '-' } else { '+' };
    Some(format!("{first}{point}{rest}E{sign}{}", adjusted.unsigned_abs()))
}

/// A number given as 30-bit digits, least first, in decimal.
fn decimal(mut limbs: Vec<u32>) -> String {
    const CHUNK: u64 = 1_000_000_000;
    let mut chunks = Vec::new();
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
    while !limbs.is_empty() {
        let mut rest = 0u64;
        for limb in limbs.iter_mut().rev() {
            let value = (rest << SHIFT) | u64::from(*limb);
            *limb = (value / CHUNK) as u32;
            rest = value % CHUNK;
        }
        chunks.push(rest);
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
    }
    let mut text = chunks.pop().unwrap_or(0).to_string();
    for chunk in chunks.iter().rev() {
        text.push_str(&format!("{chunk:09}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_thirty_bits_become_decimal() {
        assert_eq!(decimal(vec![]), "0");
        assert_eq!(decimal(vec![5]), "5");
        assert_eq!(decimal(vec![0, 1]), "1073741824");
        assert_eq!(decimal(vec![0, 0, 0, 0, 1]), (1u128 << 120).to_string());
        assert_eq!(decimal(vec![0x3fff_ffff; 4]), ((1u128 << 120) - 1).to_string());
    }

    #[test]
    fn decimals_are_written_as_str_writes_them() {
        let shown: Vec<_> = [("150", -2), ("1", 100), ("0", 0), ("5", -7), ("5", -6), ("12", 3), ("314", -2)]
            .into_iter()
            .map(|(digits, exponent)| scientific(digits, exponent).unwrap_or_default())
            .collect();
        assert_eq!(shown, ["1.50", "1E+100", "0", "5E-7", "0.000005", "1.2E+4", "3.14"]);
        assert_eq!(scientific("1", i64::MAX).as_deref(), Some("1E+9223372036854775807"));
    }
}
