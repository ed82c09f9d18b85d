//! How each version encodes what versions encode differently, written from CPython's sources.

/// Where an instance keeps its attributes (`Objects/dictobject.c`).
#[derive(Clone, Copy, PartialEq)]
pub enum Attributes {
    /// A dict at `tp_dictoffset`.
    DictOffset,
    /// Two words before the GC header: values, dict.
    ValuesDict,
    /// One word there, whose lowest bit says that it leads to values.
    Tagged,
    /// Values in the object, after its header.
    Inline,
    /// Values in the object, after `tp_basicsize`.
    InlineAfter,
}

/// A split dict's values.
#[derive(Clone, Copy, PartialEq)]
pub enum ValuesAs {
    Array,
    /// An array, and bytes before it: how many are set, how long the bytes before are.
    Prefix,
    /// Four bytes (capacity, size, embedded, valid), then the array.
    Header,
}

#[derive(Clone, Copy)]
pub struct Encoding {
    /// The reference count of a static object.
    pub static_count: u64,
    /// Digits in a tag, not in `ob_size`.
    pub tagged_int: bool,
    /// Keys with sizes as powers of two, and entries of two words.
    pub log2_keys: bool,
    pub attributes: Attributes,
    pub values: ValuesAs,
    pub pool_size: u64,
    /// Whether a str says that it is ready.
    pub ready_bit: bool,
    /// Whether there is a symbol with the version.
    pub py_version: bool,
}

impl Encoding {
    pub fn of(minor: u8) -> Encoding {
        Encoding {
            static_count: if minor >= 12 { 0xffff_ffff } else { 1 },
            tagged_int: minor >= 12,
            log2_keys: minor >= 11,
            attributes: match minor {
                ..=10 => Attributes::DictOffset,
                11 => Attributes::ValuesDict,
                12 => Attributes::Tagged,
                13 => Attributes::Inline,
                _ => Attributes::InlineAfter,
            },
            values: match minor {
                ..=10 => ValuesAs::Array,
                11 | 12 => ValuesAs::Prefix,
                _ => ValuesAs::Header,
            },
            pool_size: 16 << 10,
            ready_bit: minor <= 11,
            py_version: minor >= 11,
        }
    }

    /// Of a version that does not exist, from the variants that its table names.
    pub fn made_up(table: &toml::Table) -> Encoding {
        let variant = |name: &str| table["variants"][name].as_str().unwrap();
        Encoding {
            static_count: match variant("refcount") {
                "plain" => 1,
                "low32" => 0xffff_ffff,
                // immortal, placed by a compiler (`_Py_STATICALLY_ALLOCATED_FLAG` and `_Py_IMMORTAL_FLAGS`, 3.14)
                "flags" => 5 << 48 | 3 << 30,
                other => panic!("{other}"),
            },
            tagged_int: variant("int") == "tag",
            log2_keys: variant("keys") == "log2",
            attributes: match variant("attributes") {
                "dictoffset" => Attributes::DictOffset,
                "values_dict" => Attributes::ValuesDict,
                "tagged" => Attributes::Tagged,
                "inline" => Attributes::Inline,
                "inline_after" => Attributes::InlineAfter,
                other => panic!("{other}"),
            },
            values: match variant("values") {
                "array" => ValuesAs::Array,
                "prefix" => ValuesAs::Prefix,
                "header" => ValuesAs::Header,
                other => panic!("{other}"),
            },
            pool_size: table["alloc"]["pool_size"].as_integer().unwrap() as u64,
            ready_bit: false,
            py_version: true,
        }
    }
}
