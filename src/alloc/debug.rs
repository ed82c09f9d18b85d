//! The debug hooks of CPython's allocators (`PYTHONMALLOC=debug`, `-X dev`; `Objects/obmalloc.c`, `_PyMem_DebugRawAlloc`).
//!
//! They wrap every block, whoever hands it out: eight bytes of the size that was asked for (big-endian), a letter for
//! the domain, seven forbidden bytes, the memory itself, eight forbidden bytes. pymalloc passes large requests on to the
//! raw domain, whose hooks wrap them once more. A freed block is all dead bytes. The
//! serial number of builds with `PYMEM_DEBUG_SERIALNO` is not known here: no release has it switched on.

use crate::snapshot::{Addr, Reader};

/// The memory that was asked for begins so far into the block.
const HEADER: u64 = 16;

/// Bytes that the hooks of a domain ask for beyond those that they are asked for.
pub const OVERHEAD: u64 = 24;

/// `PYMEM_FORBIDDENBYTE`, seven times.
const FORBIDDEN: u64 = 0x00fd_fdfd_fdfd_fdfd;

/// The memory between the hooks' marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Where it begins.
    pub at: Addr,
    /// Bytes that were asked for.
    pub len: u64,
    /// Whether objects are made in it (`PyObject_Malloc`), and not raw memory (`PyMem_RawMalloc`) or data
    /// (`PyMem_Malloc`).
    pub is_object: bool,
}

/// Whether a block that begins with these bytes may have the marks; it costs nothing where there are none.
#[inline]
pub fn may_be(bytes: &[u8]) -> bool {
    bytes.get(8..).and_then(|b| b.first_chunk()).is_some_and(|mark| u64::from_le_bytes(*mark) >> 8 == FORBIDDEN)
}

/// What was asked for, when the block at `at` with `room` bytes has the hooks' marks, once or twice.
#[inline]
pub fn block(reader: &Reader<'_>, at: Addr, room: u64) -> Option<Block> {
    let outer = marked(reader, at, room)?;
    if outer.is_object { Some(outer) } else { marked(reader, outer.at, outer.len).or(Some(outer)) }
}

#[inline]
fn marked(reader: &Reader<'_>, at: Addr, room: u64) -> Option<Block> {
    let mark = reader.u64(at + 8)?;
    let is_object = match mark as u8 {
        b'o' => true,
        b'm' | b'r' => false,
        _ => return None,
    };
    if mark >> 8 != FORBIDDEN {
        return None;
    }
    let len = reader.u64(at)?.swap_bytes();
    let fits = len <= room.checked_sub(OVERHEAD)?;
    (fits && reader.u64(at + HEADER + len)? == FORBIDDEN << 8 | 0xfd).then_some(Block {
        at: at + HEADER,
        len,
        is_object,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;
    use proptest::prelude::*;

    const AT: Addr = Addr(0x1000);

    // written out by hand from Objects/obmalloc.c
    fn wrapped(len: u8, letter: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, len, letter];
        bytes.extend([0xfd; 7]);
        bytes.extend(vec![0xcd; len.into()]);
        bytes.extend([0xfd; 8]);
        bytes
    }

    fn read(bytes: Vec<u8>, room: u64) -> Option<Block> {
        block(&Snapshot::from_memory(vec![(AT, bytes)], None).reader(), AT, room)
    }

    #[test]
    fn what_was_asked_for_lies_between_the_marks() {
        let at = AT + 16;
        assert_eq!(read(wrapped(40, b'o'), 64), Some(Block { at, len: 40, is_object: true }));
        assert_eq!(read(wrapped(37, b'm'), 64), Some(Block { at, len: 37, is_object: false }));
        assert_eq!(read(wrapped(200, b'r'), 224), Some(Block { at, len: 200, is_object: false }));
        // a large object: what pymalloc asks the raw domain for
        let mut twice = wrapped(64, b'r');
        twice.splice(16..80, wrapped(40, b'o'));
        assert_eq!(read(twice, 96), Some(Block { at: AT + 32, len: 40, is_object: true }));
    }

    #[test]
    fn other_blocks_have_no_marks() {
        assert_eq!(read(wrapped(40, b'x'), 64), None);
        assert_eq!(read(wrapped(40, b'o'), 63), None, "more than there is room for");
        assert_eq!(read(vec![0xdd; 64], 64), None, "freed");
        let mut overrun = wrapped(40, b'o');
        overrun[56] = 0;
        assert_eq!(read(overrun, 64), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..80), room: u64) {
            read(bytes.clone(), room);
            let mut marked = wrapped(40, b'o');
            marked.iter_mut().zip(&bytes).take(8).for_each(|(m, b)| *m = *b);
            read(marked, room);
        }
    }
}
