//! Memory that an object owns outside its shallow size: what the allocator gave a C library for it.
//!
//! Each byte is counted at one object, its owner: a view of an array, a slice of a ctypes buffer own nothing. What
//! `sys.getsizeof` of CPython's own types counts is in the shallow size and not here; NumPy's `__sizeof__` counts an
//! array's data as well, which the shallow size therefore leaves out.

use super::Memory;
use crate::cpython::kind::Kind;
use crate::cpython::types::{Type, TypeTable};
use crate::snapshot::Addr;

impl Memory<'_> {
    /// Bytes that the object at `addr` owns outside its shallow size: the data of a NumPy array, the buffer of a ctypes
    /// object, a mapping of `mmap`. 0 where it could own some and does not; `None` for types that never do.
    pub fn native_bytes(&self, addr: Addr, ty: &Type, types: &TypeTable) -> Option<u64> {
        match types.kind(ty, self.layout) {
            Kind::NdArray => self.ndarray(addr, types).map(|a| if a.owns { a.bytes } else { 0 }),
            Kind::CData => self.cdata_owned(addr, ty),
            Kind::Mmap => {
                let m = &self.layout.structs.mmap;
                let closed = self.reader.pointer(addr + m.data?)?.is_null();
                if closed { Some(0) } else { self.reader.u64(addr + m.size_field?) }
            }
            _ => None,
        }
    }

    /// Where that memory begins, and how long it is; `None` where there is none.
    pub fn native_memory(&self, addr: Addr, ty: &Type, types: &TypeTable) -> Option<(Addr, u64)> {
        let at = match types.kind(ty, self.layout) {
            Kind::NdArray => self.ndarray(addr, types)?.data,
            Kind::CData => self.reader.pointer(addr + self.layout.structs.cdata.b_ptr?)?,
            Kind::Mmap => self.reader.pointer(addr + self.layout.structs.mmap.data?)?,
            _ => return None,
        };
        Some((at, self.native_bytes(addr, ty, types)?)).filter(|(_, len)| *len > 0)
    }
}
