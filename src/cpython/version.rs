//! A version of CPython, from whatever tells one: a number, `sys.version`, a file's name.
//!
//! Which of them to believe is decided in [`runtime`](super::runtime); what a version means for offsets is the layout
//! table's business.

use crate::image::Image;
use crate::snapshot::{Reader, Snapshot};

/// A version of CPython.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Major and minor.
    pub minor: (u8, u8),
    /// All that is known: `3.12.1`, `3.14.0rc2`, `3.10`.
    pub text: String,
}

impl Version {
    /// Whether it comes after a minor version (`"3.15"`, `"3.15t"`).
    pub(super) fn is_later_than(&self, minor: &str) -> bool {
        let minor = minor.strip_suffix('t').unwrap_or(minor);
        let parsed = minor.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        parsed.is_some_and(|parsed| self.minor > parsed)
    }

    /// The third number; `None` when only the minor version is known.
    pub(super) fn patch(&self) -> Option<u32> {
        let patch = self.text.splitn(3, '.').nth(2)?;
        let digits = patch.len() - patch.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        patch.get(..digits)?.parse().ok()
    }

    /// From `PY_VERSION_HEX` (`Include/patchlevel.h`).
    pub fn from_hex(hex: u64) -> Option<Version> {
        let [_, _, _, _, major, minor, patch, level] = hex.to_be_bytes();
        if hex >> 32 != 0 || major != 3 || minor > 99 {
            return None;
        }
        let release = match level >> 4 {
            0xa => format!("a{}", level & 15),
            0xb => format!("b{}", level & 15),
            0xc => format!("rc{}", level & 15),
            _ => String::new(),
        };
        Some(Version { minor: (major, minor), text: format!("{major}.{minor}.{patch}{release}") })
    }

    /// From what `sys.version` begins with: `3.10.13 (main, …`.
    fn from_text(text: &[u8]) -> Option<Version> {
        let end = text.iter().position(|b| *b == b' ')?;
        let number = std::str::from_utf8(text.get(..end)?).ok()?;
        let mut parts = number.splitn(3, '.');
        let major: u8 = parts.next()?.parse().ok()?;
        let minor: u8 = parts.next()?.parse().ok()?;
        let patch = parts.next()?;
        let plain = patch.starts_with(|c: char| c.is_ascii_digit())
            && patch.len() <= 12
            && patch.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+');
        (major == 3 && plain).then(|| Version { minor: (major, minor), text: number.to_owned() })
    }

    /// From `…/libpython3.10.so.1.0` or `…/python3.10`.
    pub(super) fn from_file_name(file: &str) -> Option<Version> {
        let name = file.rsplit('/').next()?;
        let rest = &name[name.find("python3.")? + "python3.".len()..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let minor = rest[..digits].parse().ok()?;
        Some(Version { minor: (3, minor), text: format!("3.{minor}") })
    }

    /// The static buffer of `Py_GetVersion` lies in the interpreter's `.bss`; without its image, `sys.version` is
    /// somewhere in writable memory.
    pub(super) fn from_memory(snapshot: &Snapshot, reader: &Reader<'_>, image: Option<&Image>) -> Option<Version> {
        let in_image = image
            .into_iter()
            .flat_map(|i| &i.data)
            .find_map(|(start, end)| reader.chunks(*start, end.0 - start.0).find_map(|(_, bytes)| search(bytes)));
        in_image.or_else(|| {
            let regions = snapshot.regions().iter().filter(|r| r.is_writable());
            regions
                .flat_map(|r| r.extents().iter().map(move |e| (r, e)))
                .find_map(|(r, e)| search(r.bytes().get(e.start as usize..e.end as usize)?))
        })
    }
}

/// What follows the number in `sys.version` (`Python/getversion.c`; the second: free-threaded builds of 3.13).
const BUILDS: [&[u8]; 2] = [b" (", b" experimental free-threading build ("];

/// The first `sys.version` in `bytes`.
fn search(bytes: &[u8]) -> Option<Version> {
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.windows(2).position(|w| w == b"3.") {
        let here = &bytes[from + at..];
        let head = &here[..here.len().min(120)];
        // "3.10.13 (main, May  9 2026, 07:34:36) [GCC 12.2.0]"; up to 3.9 a newline stands before the bracket
        if let Some(version) = Version::from_text(head)
            && let Some(rest) = head.get(version.text.len()..)
            && BUILDS.iter().any(|build| rest.starts_with(build))
            && head.windows(3).any(|w| w == b") [" || w == b") \n" || w == b")\n[" || w[1..] == *b"\n[")
        {
            return Some(version);
        }
        from += at + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_all_that_tells_them() {
        assert_eq!(Version::from_hex(0x030c_01f0).unwrap().text, "3.12.1");
        assert_eq!(Version::from_hex(0x030e_00c2).unwrap().text, "3.14.0rc2");
        assert_eq!(Version::from_hex(0x7f00_0000_0000), None);
        assert_eq!(Version::from_text(b"3.10.13 (main, May").unwrap().minor, (3, 10));
        assert_eq!(Version::from_text(b"3.14.0rc2+ (").unwrap().text, "3.14.0rc2+");
        assert_eq!(Version::from_text(b"3.1 (").map(|v| v.text), None);
        assert_eq!(Version::from_file_name("/usr/lib/libpython3.9.so.1.0").unwrap().text, "3.9");
        assert_eq!(Version::from_file_name("/usr/bin/perl"), None);
        let later = |hex| Version::from_hex(hex).unwrap().is_later_than("3.15");
        assert_eq!([later(0x0309_00f0), later(0x030f_02f0), later(0x0310_00a1)], [false, false, true]);
        let patch = |text: &str| Version { minor: (3, 9), text: text.into() }.patch();
        assert_eq!([patch("3.9.18"), patch("3.14.0rc2+"), patch("3.10")], [Some(18), Some(0), None]);
    }
}
