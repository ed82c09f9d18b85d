//! The rows of the answer: which there are, what they are called, and which use of memory belongs to which.

use crate::heap::usage::{Manager, Use};

macro_rules! rows {
    ($($row:ident $kind:literal $label:literal)*) => {
        /// A row by its place in [`NAMES`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs)] // NAMES says what each is
        pub enum Row {
            $($row),*
        }

        /// All rows, in order.
        pub const ALL: [Row; ROWS] = [$(Row::$row),*];

        /// Kind and label of each row.
        pub const NAMES: [(&str, &str); ROWS] = [$(($kind, $label)),*];

        /// How many rows there are.
        pub const ROWS: usize = [$($kind),*].len();
    };
}

rows! {
    ObjectsPymalloc "objects_pymalloc" "live objects in pymalloc"
    ObjectsMimalloc "objects_mimalloc" "live objects in mimalloc"
    ObjectsMalloc "objects_malloc" "live objects in malloc"
    ObjectsMapped "objects_mapped" "live objects in blocks of their own"
    ObjectsImage "objects_image" "static objects in programs and libraries"
    ObjectsOther "objects_other" "live objects elsewhere"
    OwnedPymalloc "buffers_pymalloc" "tables and buffers of objects in pymalloc"
    OwnedMimalloc "buffers_mimalloc" "tables and buffers of objects in mimalloc"
    OwnedMalloc "buffers_malloc" "tables and buffers of objects in malloc"
    OwnedMapped "buffers_mapped" "tables and buffers of objects in blocks of their own"
    OwnedOther "buffers_other" "memory that objects mapped"
    OtherPymalloc "other_pymalloc" "in use in pymalloc, no object's"
    OtherMimalloc "other_mimalloc" "in use in mimalloc, no object's"
    OtherMalloc "other_malloc" "in use in malloc, no object's"
    OtherMapped "other_mapped" "large blocks of malloc, no object's"
    FreePymalloc "free_pymalloc" "free in pymalloc's pools"
    EmptyPymalloc "empty_pymalloc" "pools of pymalloc without an object"
    FreeMimalloc "free_mimalloc" "free in mimalloc's pages"
    EmptyMimalloc "empty_mimalloc" "pages of mimalloc without an object"
    FreeMalloc "free_malloc" "free in malloc's bins"
    CachedMalloc "cached_malloc" "freed, in malloc's caches of threads and fast bins"
    TopMalloc "top_malloc" "free at the end of malloc's heaps"
    Overhead "overhead" "headers of allocators"
    Stacks "stacks" "stacks of threads"
    StacksEnded "stacks_ended" "behind a guard page, as stacks of ended threads"
    FilesPrivate "files_private" "files mapped private: programs and libraries"
    FilesShared "files_shared" "files mapped shared"
    SharedMemory "shared_memory" "shared memory"
    Special "special" "the kernel's own"
    Unexplained "unexplained" "unexplained"
}

impl Row {
    /// `objects_pymalloc`.
    pub fn kind(self) -> &'static str {
        NAMES[self as usize].0
    }

    /// The row of a part of an item; `None` for what only the mapping can tell.
    pub fn of(manager: Manager, of: Use) -> Option<Row> {
        use Manager::{Image, Malloc, Mapped, Mimalloc, Pymalloc, Unknown};
        Some(match (of, manager) {
            (Use::Object(_), Pymalloc) => Row::ObjectsPymalloc,
            (Use::Object(_), Mimalloc) => Row::ObjectsMimalloc,
            (Use::Object(_), Malloc) => Row::ObjectsMalloc,
            (Use::Object(_), Mapped) => Row::ObjectsMapped,
            (Use::Object(_), Image) => Row::ObjectsImage,
            (Use::Object(_), Unknown) => Row::ObjectsOther,
            (Use::Owned(_), Pymalloc) => Row::OwnedPymalloc,
            (Use::Owned(_), Mimalloc) => Row::OwnedMimalloc,
            (Use::Owned(_), Malloc) => Row::OwnedMalloc,
            (Use::Owned(_), Mapped) => Row::OwnedMapped,
            (Use::Owned(_), Image | Unknown) => Row::OwnedOther,
            (Use::Other, Pymalloc) => Row::OtherPymalloc,
            (Use::Other, Mimalloc) => Row::OtherMimalloc,
            (Use::Other, Mapped) => Row::OtherMapped,
            (Use::Other, _) => Row::OtherMalloc,
            (Use::Free(_), Pymalloc) => Row::FreePymalloc,
            (Use::Free(_), Mimalloc) => Row::FreeMimalloc,
            (Use::Free(_), _) => Row::FreeMalloc,
            (Use::Empty, Pymalloc) => Row::EmptyPymalloc,
            (Use::Empty, _) => Row::EmptyMimalloc,
            (Use::Cached, _) => Row::CachedMalloc,
            (Use::Top, _) => Row::TopMalloc,
            (Use::Overhead, _) => Row::Overhead,
            (Use::Unknown, _) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_name() {
        assert!(ALL.iter().enumerate().all(|(i, row)| *row as usize == i));
        assert_eq!((Row::TopMalloc.kind(), Row::Unexplained.kind()), ("top_malloc", "unexplained"));
        let mut kinds: Vec<_> = NAMES.iter().map(|n| n.0).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), ROWS);
    }
}
