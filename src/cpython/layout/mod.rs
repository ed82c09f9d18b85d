//! Offsets as data: one table per CPython version, from `assets/layouts/`.
//!
//! A table gives the offsets of the structs that decoders read, names the decoder variant for each thing that is
//! encoded differently between versions, and lists the object pointers of the C types whose objects are plain
//! structs. A new version is a new file; a new variant is only needed where an encoding is new. Which table fits a
//! snapshot is decided in [`runtime`](super::runtime).

pub mod packages;
mod tables;

pub use tables::{BadTable, add, add_folder, known_versions, parse, read_folder, table, table_text};

use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// Everything known of one version.
#[derive(Debug, Deserialize)]
pub struct Layout {
    /// `3.12`.
    pub version: String,
    /// The build the offsets were taken from.
    pub patch: String,
    /// Which decoder variants apply.
    pub variants: Variants,
    /// Where a snapshot itself tells offsets, by `struct.field`.
    #[serde(default)]
    pub debug_offsets: BTreeMap<String, DebugOffset>,
    /// What other patch releases have otherwise.
    #[serde(default)]
    pub patches: Vec<Patch>,
    /// Which of `patches` are in this layout already.
    #[serde(default)]
    pub patched: Vec<usize>,
    /// Sizes that allocators work with.
    pub alloc: Alloc,
    /// Where the interpreter itself holds objects.
    #[serde(default)]
    pub roots: Roots,
    /// Struct offsets.
    pub structs: Structs,
    /// C types by name.
    pub objects: HashMap<String, ObjectLayout>,
}

/// What some patch releases of a minor version have otherwise than the build that its table was taken from.
#[derive(Debug, Deserialize)]
pub struct Patch {
    /// The first release that has it so, `3.13.5`.
    pub from: Option<String>,
    /// The last release that has it so.
    pub until: Option<String>,
    /// Whole structs, by their names.
    #[serde(default)]
    pub structs: toml::Table,
    /// Whole entries of objects, by the names of their types.
    #[serde(default)]
    pub objects: toml::Table,
    /// Whole lists of `[roots]`.
    #[serde(default)]
    pub roots: toml::Table,
}

/// Words of C structs that hold objects: names for what is found there, and what is no reference of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Roots {
    /// Of `_PyRuntimeState`.
    pub runtime: Vec<NamedWords>,
    /// Of `PyInterpreterState`.
    pub interpreter: Vec<NamedWords>,
    /// Parts of it that own nothing: caches of borrowed pointers, static types' states, objects that lie in it.
    pub interpreter_skip: Vec<NamedWords>,
    /// Of `PyThreadState` (`_PyThreadStateImpl` from 3.13 on).
    pub thread: Vec<NamedWords>,
    /// Parts of it that own nothing.
    pub thread_skip: Vec<NamedWords>,
    /// Bytes of a thread's state.
    pub thread_size: u64,
    /// Offset and bytes of the method cache in `PyInterpreterState`.
    pub lookup_cache: Option<(u64, u64)>,
    /// Where the interpreter keeps what `atexit.register` was given.
    pub atexit: Atexit,
}

/// Where the callbacks of atexit are, as offsets in `PyInterpreterState`: a list, or an array of pointers to C structs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Atexit {
    /// The list (from 3.14 on).
    pub list: Option<u64>,
    /// The module whose state has the array and the count (up to 3.9), which then are offsets in that state.
    pub module: Option<u64>,
    /// The array.
    pub array: Option<u64>,
    /// How many entries it has.
    pub count: Option<u64>,
}

/// Consecutive words of one name: name, offset, bytes.
#[derive(Debug, Clone, Deserialize)]
pub struct NamedWords(pub String, pub u64, pub u64);

impl NamedWords {
    /// Whether the word at this offset is one of them.
    pub fn contains(&self, offset: u64) -> bool {
        offset.checked_sub(self.1).is_some_and(|within| within < self.2)
    }
}

/// Sizes that allocators work with.
#[derive(Debug, Deserialize)]
pub struct Alloc {
    /// Bytes of a pymalloc pool, a power of two (`POOL_SIZE`, `Objects/obmalloc.c`): 4 KiB up to 3.9, 16 KiB since.
    pub pool_size: u64,
    /// Objects come from mimalloc and not from pymalloc: free-threaded builds.
    pub mimalloc: Option<MimallocVariant>,
}

/// Where `_Py_DebugOffsets` tells an offset (`Include/internal/pycore_debug_offsets.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum DebugOffset {
    /// The word at this position is the offset.
    At(u64),
    /// The word at this position and so many bytes more.
    Beyond(u64, u64),
}

/// How a version encodes what versions encode differently.
#[derive(Debug, Deserialize)]
pub struct Variants {
    /// `ob_refcnt`.
    pub refcount: RefCountVariant,
    /// Digit count and sign of an int.
    pub int: IntVariant,
    /// Header of a dict's keys.
    pub keys: KeysVariant,
    /// A split dict's values.
    pub values: ValuesVariant,
    /// Where an instance keeps its attributes.
    pub attributes: AttributesVariant,
    /// Frames: objects of their own, or embedded.
    pub frame: FrameVariant,
    /// Numbering of `gi_frame_state`.
    pub frame_state: FrameStateVariant,
    /// Where static types keep `tp_dict`.
    pub static_types: StaticTypesVariant,
    /// Encoding of line numbers.
    pub line_table: LineTableVariant,
    /// Pointers in frames.
    pub stack_refs: StackRefsVariant,
}

macro_rules! variant {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }
    };
}

variant!(/** `Include/object.h` of each version. */ RefCountVariant {
    /** A plain count, up to 3.11. */ Plain = "plain",
    /** Count in the low 32 bits, negative when immortal: 3.12, 3.13. */ Low32 = "low32",
    /** Count in the low 32 bits, bit 31 immortal, flags above: from 3.14. */ Flags = "flags",
    /** A count of the owning thread's and one that all others share: free-threaded builds. */ Split = "split",
});
variant!(/** What a page of mimalloc's tells of itself (`Include/internal/mimalloc/mimalloc/types.h`). */ MimallocVariant {
    /** Where its blocks begin follows from their size; 3.13. */ ComputedStart = "computed_start",
});
variant!(/** `Include/cpython/longintrepr.h`. */ IntVariant {
    /** `ob_size` is the signed number of digits, up to 3.11. */ Size = "size",
    /** `lv_tag`: sign in bits 0-1, digits from bit 3; from 3.12. */ Tag = "tag",
});
variant!(/** `Objects/dict-common.h`, `Include/internal/pycore_dict.h`. */ KeysVariant {
    /** `dk_size` and 24-byte entries, up to 3.10. */ Size = "size",
    /** Logarithms of the sizes and a kind, from 3.11. */ Log2 = "log2",
});
variant!(/** `Include/internal/pycore_dict.h`. */ ValuesVariant {
    /** A bare array, up to 3.10. */ Array = "array",
    /** Bytes below the array tell the order, 3.11 and 3.12. */ Prefix = "prefix",
    /** A header before, the order after: from 3.13. */ Header = "header",
});
variant!(/** `Objects/object.c`, `_PyObject_GetDictPtr` and its successors. */ AttributesVariant {
    /** A dict pointer at `tp_dictoffset`, up to 3.10. */ DictOffset = "dictoffset",
    /** Two words before the GC header: values, dict; 3.11. */ ValuesDict = "values_dict",
    /** One tagged word before the GC header; 3.12. */ Tagged = "tagged",
    /** Values right after the object header; 3.13. */ Inline = "inline",
    /** Values after `tp_basicsize`; from 3.14. */ InlineAfter = "inline_after",
});
variant!(/** `Include/internal/pycore_frame.h`. */ FrameVariant {
    /** `PyFrameObject` holds everything, up to 3.10. */ Object = "object",
    /** `_PyInterpreterFrame`, on the data stack or in its owner; from 3.11. */ Embedded = "embedded",
});
variant!(/** `enum _framestate`. */ FrameStateVariant {
    /** No such field, up to 3.10. */ None = "none",
    /** Below 1 has a frame; 3.11, 3.12. */ V311 = "3.11",
    /** The same with one state more; 3.13, 3.14. */ V313 = "3.13",
    /** Counted from 0; 3.15. */ V315 = "3.15",
});
variant!(/** `Objects/typeobject.c`, `managed_static_type_state`. */ StaticTypesVariant {
    /** In the type, up to 3.11. */ InType = "in_type",
    /** Builtins in the interpreter state; 3.12. */ Indexed = "indexed",
    /** Extension modules' types too; from 3.13. */ IndexedExt = "indexed_ext",
});
variant!(/** `Objects/lnotab_notes.txt`, `Objects/locations.md`. */ LineTableVariant {
    /** `co_lnotab`; 3.8, 3.9. */ Lnotab = "lnotab",
    /** `co_linetable` of 3.10. */ V310 = "3.10",
    /** Location table, from 3.11. */ Locations = "locations",
});
variant!(/** `Include/internal/pycore_stackref.h`. */ StackRefsVariant {
    /** Plain pointers, up to 3.13. */ Plain = "plain",
    /** Two tag bits, from 3.14. */ Tagged = "tagged",
});

/// A C type whose objects' layout is known.
#[derive(Debug, Deserialize)]
pub struct ObjectLayout {
    /// The decoder; plain structs of object pointers have none.
    #[serde(default)]
    pub decoder: DecoderName,
    /// `tp_basicsize`, compared before the rest is trusted.
    pub size: i64,
    /// Owned object pointers: name to show, offset.
    #[serde(default)]
    pub refs: Vec<(String, u64)>,
    /// Object pointers that do not keep alive.
    #[serde(default)]
    pub weak: Vec<(String, u64)>,
    /// References behind C pointers: name, then the offsets to follow.
    #[serde(default)]
    pub deep: Vec<Deep>,
    /// References in C arrays.
    #[serde(default)]
    pub arrays: Vec<PointerArray>,
    /// The references exist only when the byte at this offset is not 0.
    pub guard: Option<u64>,
    /// What `sys.getsizeof` adds to the basic size.
    #[serde(default)]
    pub sizeof: SizeRule,
}

/// An owned pointer behind C pointers.
#[derive(Debug, Deserialize)]
#[serde(from = "Vec<DeepPart>")]
pub struct Deep {
    /// What to show.
    pub name: String,
    /// Each offset but the last leads through a pointer; the last one's word is the reference.
    pub path: Vec<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum DeepPart {
    Name(String),
    Offset(u64),
}

impl From<Vec<DeepPart>> for Deep {
    fn from(parts: Vec<DeepPart>) -> Deep {
        let mut deep = Deep { name: String::new(), path: Vec::new() };
        for part in parts {
            match part {
                DeepPart::Name(name) => deep.name = name,
                DeepPart::Offset(offset) => deep.path.push(offset),
            }
        }
        deep
    }
}

/// Owned pointers in a C array.
#[derive(Debug, Deserialize)]
pub struct PointerArray {
    /// What to show.
    pub name: String,
    /// Leads to the array's address.
    pub path: Vec<u64>,
    /// How many there are.
    pub count: ArrayCount,
    /// Bytes from one to the next.
    pub stride: u64,
}

/// The length of a [`PointerArray`].
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum ArrayCount {
    /// Always so many.
    Fixed(u64),
    /// A path to an i64.
    At(Vec<u64>),
}

/// The decoders a table may name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are the types'
pub enum DecoderName {
    #[default]
    Fields,
    Int,
    Bool,
    Float,
    Complex,
    Str,
    Bytes,
    Bytearray,
    Tuple,
    List,
    Dict,
    Set,
    Odict,
    Deque,
    Defaultdict,
    Type,
    Code,
    Frame,
    Generator,
    Weakref,
    LruCache,
    Module,
    HamtBitmap,
    HamtArray,
    HamtCollision,
    Teedataobject,
    Simplequeue,
    Structseq,
    /// A NumPy array: its items are references when they are objects.
    Ndarray,
    /// A decoder this version of the program does not have: the object's words are looked at instead.
    #[serde(other)]
    Unknown,
}

/// What `__sizeof__` of a C type adds; see `assets/layouts/SIZEOF.md`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum SizeRule {
    /// `tp_basicsize + |ob_size| * tp_itemsize`.
    #[default]
    Generic,
    Array,
    Buffered,
    Bytearray,
    Bytesio,
    Code,
    Decimal,
    Deque,
    Dict,
    Element,
    Frame,
    Generator,
    Int,
    ItertoolsIndices,
    ItertoolsPermutations,
    ItertoolsProduct,
    List,
    Mmap,
    Odict,
    Pickler,
    Set,
    Simplequeue,
    Stgdict,
    Str,
    Struct,
    Type,
    TypeCtypes,
    Unpickler,
    /// A rule this version of the program does not have: the generic size is an estimate.
    #[serde(other)]
    Unknown,
}

macro_rules! structs {
    ($($c_name:literal => $member:ident: $name:ident { $($field:ident),* $(,)? ; $($maybe:ident),* $(,)? })*) => {
        $(
            #[doc = concat!("Offsets in `", $c_name, "`.")]
            #[derive(Debug, Clone, Default, Deserialize)]
            #[allow(missing_docs)] // the names are C's
            pub struct $name {
                #[serde(default)]
                pub size: u64,
                $(pub $field: u64,)*
                $(#[serde(default)] pub $maybe: Option<u64>,)*
            }
        )*
        /// The structs that decoders read. One that a version does not have is all zeros; the version's variants
        /// never lead there.
        #[derive(Debug, Deserialize)]
        #[allow(missing_docs)]
        pub struct Structs {
            $(#[serde(default, rename = $c_name)] pub $member: $name,)*
        }
    };
}

structs! {
    "PyObject" => object: Object { ob_type; ob_refcnt, ob_gc_bits, ob_ref_local, ob_ref_shared }
    "PyGC_Head" => gc_head: GcHead { ; }
    "PyVarObject" => var_object: VarObject { ob_size; }
    "PyTypeObject" => type_object: TypeObject {
        tp_name, tp_basicsize, tp_itemsize, tp_flags, tp_weaklistoffset, tp_base, tp_dict, tp_dictoffset, tp_bases,
        tp_mro, tp_subclasses; tp_cache, tp_weaklist, tp_traverse, tp_finalize
    }
    "PyHeapTypeObject" => heap_type: HeapType { ht_name, ht_slots, ht_qualname, ht_cached_keys; ht_module }
    "PyLongObject" => long: Long { ob_digit; lv_tag }
    "PyFloatObject" => float: Float { ob_fval; }
    "PyComplexObject" => complex: Complex { real, imag; }
    "PyASCIIObject" => ascii: Ascii { length, state; wstr }
    "PyCompactUnicodeObject" => compact: Compact { utf8_length, utf8; wstr_length }
    "PyUnicodeObject" => unicode: Unicode { data; }
    "PyBytesObject" => bytes: Bytes { ob_sval; }
    "PyByteArrayObject" => bytearray: ByteArray { ob_alloc, ob_start; ob_bytes_object }
    "PyTupleObject" => tuple: Tuple { ob_item; }
    "PyListObject" => list: List { ob_item, allocated; }
    "PyDictObject" => dict: Dict { ma_used, ma_keys, ma_values; }
    "PyDictKeysObject" => keys: Keys {
        dk_refcnt, dk_usable, dk_nentries, dk_indices; dk_size, dk_log2_size, dk_log2_index_bytes, dk_kind
    }
    "PyDictValues" => values: Values { values; capacity, size_field, embedded, valid }
    "PySetObject" => set: Set { used, mask, table, smalltable; }
    "PyODictObject" => odict: Odict { od_first, od_fast_nodes_size; od_inst_dict, od_fast_nodes }
    "odictnode" => odict_node: OdictNode { key, next; }
    "dequeobject" => deque: Deque { leftblock, leftindex; }
    "deque_BLOCK" => deque_block: DequeBlock { data, rightlink; leftlink }
    "defdictobject" => defaultdict: DefaultDict { default_factory; }
    "PyCodeObject" => code: Code {
        co_consts, co_names, co_filename, co_name, co_firstlineno, co_flags;
        co_linetable, co_lnotab,
        co_code, co_varnames, co_cellvars, co_freevars, co_nlocals, co_qualname, co_localsplusnames,
        co_localspluskinds, co_nlocalsplus, co_code_adaptive, co_exceptiontable, co_extra, co_cell2arg, co_opcache, co_opcache_map, co_opcache_size,
        co_stacksize, _co_firsttraceable, _co_cached, _co_code, _co_linearray, _co_monitoring, co_framesize
    }
    "PyFunctionObject" => function: Function { func_code, func_name, func_qualname; func_module }
    "PyMethodObject" => method: Method { im_func, im_self; }
    "PyCFunctionObject" => cfunction: CFunction { m_ml, m_self, m_module; }
    "PyCellObject" => cell: Cell { ob_ref; }
    "PyModuleObject" => module: Module { md_dict, md_name, md_state; md_def, md_state_size }
    "PyModuleDef" => module_def: ModuleDef { m_size; }
    "PyGenObject" => generator: Generator {
        gi_name, gi_qualname, gi_weakreflist; gi_running, gi_frame, gi_code, gi_iframe, gi_frame_state, gi_exc_value, gi_exc_type,
        gi_exc_traceback, gi_origin_or_finalizer
    }
    "PyFrameObject" => frame_object: FrameObject {
        f_back; f_frame, f_code, f_builtins, f_globals, f_locals, f_valuestack, f_trace, f_stackdepth, f_gen, f_lasti,
        f_lineno, f_localsplus, f_stacktop, f_state, f_extra_locals, f_locals_cache, _f_frame_data, f_iblock,
        f_blockstack
    }
    "PyTryBlock" => try_block: TryBlock { ; b_handler, b_level }
    "_PyInterpreterFrame" => frame: Frame {
        previous, f_globals, f_builtins, f_locals, frame_obj, owner, localsplus;
        f_code, f_executable, f_func, f_funcobj, prev_instr, instr_ptr, stacktop, stackpointer
    }
    "PyTracebackObject" => traceback: Traceback { tb_next, tb_frame, tb_lasti, tb_lineno; }
    "PyBaseExceptionObject" => exception: Exception { args; }
    "PyWeakReference" => weakref: WeakRef { wr_object, wr_callback; }
    "PySliceObject" => slice: Slice { start, stop, step; }
    "rangeobject" => range: Range { start, stop, step; length }
    "PyMemberDescrObject" => member_descr: MemberDescr { d_member; }
    "PyMemberDef" => member_def: MemberDef { r#type, offset; name }
    "PyDescrObject" => descr: Descr { d_type, d_name; }
    "lru_cache_object" => lru_cache: LruCache { root_prev, root_next, cache; hits, misses, maxsize }
    "lru_list_elem" => lru_elem: LruElem { key, result; prev, next }
    "teedataobject" => teedata: TeeData { numread, values; nextlink, it }
    "simplequeueobject" => simplequeue: SimpleQueue {
        ; lst, lst_pos, items, get_idx, num_items, items_cap, lock, has_threads_waiting
    }
    "PyHamtNode_Bitmap" => hamt_bitmap: HamtBitmap { b_array; }
    "PyHamtNode_Array" => hamt_array: HamtArray { a_array; a_count }
    "PyHamtNode_Collision" => hamt_collision: HamtCollision { c_array; }
    "arrayobject" => array: Array { allocated, ob_descr; ob_item }
    "arraydescr" => array_descr: ArrayDescr { itemsize; typecode }
    "bytesio" => bytesio: BytesIo { buf; string_size }
    "buffered" => buffered: Buffered { buffer, buffer_size; }
    "PyDecObject" => decimal: Decimal { dec_flags, dec_exp, dec_len, dec_alloc, dec_data; dec_digits }
    "PyStructObject" => struct_object: StructObject { s_codes, s_format; s_size }
    "StgInfo" => stg_info: StgInfo { ; initialized, format, ndim, length, ffi_elements }
    "StgDictObject" => stg_dict: StgDict { ; format, ndim, length, ffi_elements }
    "combinationsobject" => combinations: Combinations { r; }
    "permutationsobject" => permutations: Permutations { r, pool; }
    "productobject" => product: Product { pools; }
    "PicklerObject" => pickler: Pickler { memo; }
    "UnpicklerObject" => unpickler: Unpickler {
        memo, memo_size, marks, marks_size, input_line, encoding, errors;
    }
    "ElementObject" => element: Element { extra; }
    "ElementObjectExtra" => element_extra: ElementExtra { allocated, children, _children; }
    "pool_header" => pool: Pool { ref_count, freeblock, szidx, nextoffset, maxnextoffset; arenaindex }
    "mi_segment_t" => mi_segment: MiSegment {
        ; segment_size, segment_slices, segment_info_slices, kind, slice_entries, slices
    }
    "mi_page_t" => mi_page: MiPage {
        ; slice_count, slice_offset, tag, capacity, reserved, free, used, xblock_size, local_free, xthread_free
    }
    "_PyRuntimeState" => runtime: Runtime { interpreters_head; interpreters_main, ceval_gil, gc }
    "_gc_runtime_state" => gc_state: GcState { generations, permanent_generation; generation0, collecting }
    "PyInterpreterState" => interpreter: Interpreter {
        next, id, threads_head, modules; types_builtins, types_extensions, gc, ceval_gil
    }
    "PyThreadState" => thread: ThreadState {
        next, interp, thread_id, exc_info; native_thread_id, frame, cframe, current_frame
    }
    "_PyCFrame" => cframe: CFrame { ; current_frame }
    "_PyErr_StackItem" => exc_item: ExcItem { exc_value, previous_item; }
    "_gil_runtime_state" => gil: Gil { last_holder, locked; }
    "pthread" => pthread: Pthread { ; tid }
    "managed_static_type_state" => static_state: StaticState { ; r#type, tp_dict, tp_subclasses }
    "PyMethodDef" => method_def: MethodDef { ml_name; }
    "PyDateTime_DateTime" => datetime: DateTime { hastzinfo, data; }
    "PyDateTime_Delta" => timedelta: TimeDelta { days, seconds, microseconds; }
    "FutureObj" => future: Future { fut_state; }
    "rlockobject" => rlock: RLock {
        ; rlock_count, lock, lock_level, rlock_lock, rlock_owner, lock_thread
    }
    "lockobject" => lock: Lock { ; locked, lock, lock_lock }
    "PyThreadHandleObject" => thread_handle_object: ThreadHandleObject { ; handle }
    "ThreadHandle" => thread_handle: ThreadHandle { ; ident }
    "wait_entry" => wait_entry: WaitEntry { ; addr, sema }
    "PyMemoryViewObject" => memoryview: MemoryView {
        flags, view_buf, view_len, view_itemsize, view_ndim, view_format, view_shape, view_strides;
    }
    "PatternObject" => pattern: Pattern { groups, flags; }
    "MatchObject" => r#match: Match { mark; groups }
    "stringio" => stringio: StringIo { buf, string_size, state; accu_large, accu_small, writer, writer_buffer }
    "fileio" => fileio: FileIo { fd, dict; created }
    "PySocketSockObject" => socket: Socket { sock_fd; sock_family, sock_type, sock_proto, sock_timeout }
    "countobject" => count: Count { ; cnt }
    "repeatobject" => repeat: Repeat { ; cnt }
    "mmap_object" => mmap: Mmap { ; data, size_field, pos, offset, fd }
    "PyContextToken" => token: Token { ; tok_used }
    "localobject" => local: Local { ; dummies, localdicts }
    "CDataObject" => cdata: CData { ; b_ptr, b_needsfree, b_size, b_length }
}
