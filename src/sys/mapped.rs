//! An array in a mapped file: memory that the kernel may write to disk and drop when it is short of it.

use memmap2::{MmapMut, MmapOptions};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// Only what was written as a `T` is ever read as one.
#[derive(Debug)]
pub struct Mapped<T> {
    map: MmapMut,
    len: usize,
    of: PhantomData<T>,
}

impl<T: Copy + 'static> Mapped<T> {
    /// So many times `value`. Nobody else may have `file`, which is made as long as it must be; its room on the disk is
    /// taken at once, so that writing to the array cannot fail later.
    pub fn filled(file: &File, len: usize, value: T) -> io::Result<Mapped<T>> {
        let too_long = || io::Error::other("an array that is too long");
        let bytes = len.checked_mul(size_of::<T>()).ok_or_else(too_long)?.max(1);
        let size = i64::try_from(bytes).map_err(io::Error::other)?;
        nix::fcntl::posix_fallocate(file, 0, size)?;
        // SAFETY: the file is nobody else's, so that nothing changes it or cuts it behind the mapping.
        let mut map = unsafe { MmapOptions::new().len(bytes).map_mut(file) }?;
        // a page is aligned for every `T`
        let first = map.as_mut_ptr().cast::<T>();
        for i in 0..len {
            // SAFETY: `i` is within the `len` values that the mapping has room for.
            unsafe { first.add(i).write(value) };
        }
        Ok(Mapped { map, len, of: PhantomData })
    }
}

impl<T: Copy + 'static> Deref for Mapped<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `filled` wrote `len` values there, and only values were written since.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.len) }
    }
}

impl<T: Copy + 'static> DerefMut for Mapped<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the mapping is borrowed for as long as the slice is.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_array() {
        let file = tempfile::tempfile().unwrap();
        let mut array = Mapped::filled(&file, 10_000, 7u32).unwrap();
        assert!(array.len() == 10_000 && array.iter().all(|n| *n == 7));
        array[9_999] = 1;
        array[..3].copy_from_slice(&[4, 5, 6]);
        assert_eq!((array[2], array[3], array[9_999]), (6, 7, 1));
        assert_eq!(Mapped::filled(&tempfile::tempfile().unwrap(), 0, 7u32).unwrap().len(), 0);
        assert!(Mapped::filled(&tempfile::tempfile().unwrap(), usize::MAX, 7u32).is_err());
    }
}
